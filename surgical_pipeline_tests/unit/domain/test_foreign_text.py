from surgical_pipeline.domain.foreign_text import well_formed


def test_surrogates_in_pairs_become_the_character_they_mean() -> None:
    assert well_formed("\ud83d\ude80 \ude80\ud83d") == "🚀 \ufffd\ufffd"
