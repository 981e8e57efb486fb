from surgical_pipeline.domain.words import counted


def test_one_is_no_plural() -> None:
    assert [counted(1, "run"), counted(2000, "run"), counted(0, "entity", "entities")] == [
        "1 run",
        "2,000 runs",
        "0 entities",
    ]
