import pytest

from surgical_pipeline.defs.asset_keys import prefix_of
from surgical_pipeline.settings import Settings, SettingsError


def settings(text: str) -> Settings:
    return Settings.from_environment({"SURGICAL_ASSET_KEY_PREFIX": text})


@pytest.mark.parametrize(
    ("text", "parts"), [("", ()), (" raw ", ("raw",)), ("data/raw", ("data", "raw")), ("a-b_1", ("a-b_1",))]
)
def test_a_prefix_of_asset_keys_is_names_with_slashes_between(text: str, parts: tuple[str, ...]) -> None:
    assert prefix_of(settings(text)) == parts


@pytest.mark.parametrize("text", ["raw/", "/raw", "a//b", "a b", "a.b", "'raw'", "a,b", "été", "raw\u202e"])
def test_a_prefix_that_no_key_can_have_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="SURGICAL_ASSET_KEY_PREFIX"):
        prefix_of(settings(text))
