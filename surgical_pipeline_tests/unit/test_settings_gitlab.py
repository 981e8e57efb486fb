"""What `GITLAB_URL` and `GITLAB_TOKEN` may be mistaken for."""

import pytest

from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.settings import Settings, SettingsError

GOOD = {"GITLAB_URL": "https://gitlab.example.com/", "GITLAB_TOKEN": "glpat-1"}


@pytest.mark.parametrize("template", ['"{}"', "'{}'", '"{}', "{}'", "`{}`", "\u201c{}\u201d", ' "{}" '])
@pytest.mark.parametrize("name", GOOD)
def test_quotation_marks_around_a_value_are_told_without_the_value(template: str, name: str) -> None:
    settings = Settings.from_environment(GOOD | {name: template.format(GOOD[name])})
    with pytest.raises(SettingsError) as refused:
        _ = settings.gitlab
    assert str(refused.value) == f"{name} is in quotes, and they are part of the value: set it without them"
    code = FailureCode.UNAUTHORIZED if name == "GITLAB_TOKEN" else FailureCode.NETWORK_ERROR
    assert refused.value.code is code


def test_the_address_of_gitlab_needs_no_token() -> None:
    assert Settings.from_environment({"GITLAB_URL": GOOD["GITLAB_URL"]}).gitlab_url == "https://gitlab.example.com"
