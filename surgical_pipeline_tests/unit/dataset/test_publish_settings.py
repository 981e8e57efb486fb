from pathlib import Path

import pytest

from surgical_pipeline.dataset.publish_settings import PublishSettings
from surgical_pipeline.settings import Settings, SettingsError


def settings(**environment: str) -> PublishSettings:
    return PublishSettings.of(Settings.from_environment(environment))


def test_nothing_is_published_unless_a_folder_is_named() -> None:
    assert settings() == PublishSettings(None, 300.0, confidential=False, also=frozenset())


def test_each_variable_says_what_it_says() -> None:
    assert settings(
        SURGICAL_PUBLISH="/srv/gitlab",
        SURGICAL_PUBLISH_SECONDS="60",
        SURGICAL_PUBLISH_CONFIDENTIAL="TRUE",
        SURGICAL_PUBLISH_WITH=" documents, embeddings,",
    ) == PublishSettings(Path("/srv/gitlab"), 60.0, confidential=True, also=frozenset({"documents", "embeddings"}))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SURGICAL_PUBLISH", __file__, "is a file: name a folder"),
        ("SURGICAL_PUBLISH_SECONDS", "0", "number of seconds above 0"),
        ("SURGICAL_PUBLISH_SECONDS", "soon", "number of seconds above 0"),
        ("SURGICAL_PUBLISH_CONFIDENTIAL", "1", "must be true or false"),
        ("SURGICAL_PUBLISH_WITH", "notes", "may name documents,embeddings"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError, match=f"{name}.*{said}"):
        settings(**{name: value})
