import base64
from pathlib import Path

import pytest

from surgical_pipeline.settings import Settings, SettingsError
from surgical_pipeline.webhook.secrets import secret_tokens, signing_tokens

TOKEN = f"whsec_{base64.b64encode(bytes(32)).decode()}"


def settings(**environment: str) -> Settings:
    return Settings.from_environment(environment)


def test_what_is_not_set_is_none() -> None:
    assert secret_tokens(settings()) == ()
    assert signing_tokens(settings(SURGICAL_WEBHOOK_SIGNING_TOKEN=" ")) == ()


@pytest.mark.parametrize("text", ["old,new", "old new", " old ,\nnew "])
def test_several_secrets_stand_beside_each_other_while_one_is_replaced(text: str) -> None:
    found = secret_tokens(settings(SURGICAL_WEBHOOK_SECRET=text))
    assert [secret.get_secret_value() for secret in found] == ["old", "new"]


def test_several_signing_tokens_too() -> None:
    found = signing_tokens(settings(SURGICAL_WEBHOOK_SIGNING_TOKEN=f"{TOKEN},{TOKEN}"))
    assert [token.get_secret_value() for token in found] == [TOKEN, TOKEN]


@pytest.mark.parametrize("wrong", [",", "'a-value'", "\u201cv3ry\u201d", "v3ry-s\xe9cret", "v3ry\x07", TOKEN])
def test_a_malformed_secret_is_an_error_that_does_not_tell_it(wrong: str) -> None:
    with pytest.raises(SettingsError, match="SURGICAL_WEBHOOK_SECRET") as caught:
        _ = secret_tokens(settings(SURGICAL_WEBHOOK_SECRET=wrong))
    assert not any(part in str(caught.value) for part in ("v3ry", "a-value", TOKEN))


@pytest.mark.parametrize(
    "wrong",
    ["v3ry-secret", "whsec_", "whsec_AAAA", "whsec_****", f"'{TOKEN}'", TOKEN.removeprefix("whsec_"), TOKEN[:-1]],
)
def test_a_malformed_signing_token_is_an_error_that_does_not_tell_it(wrong: str) -> None:
    with pytest.raises(SettingsError, match="SURGICAL_WEBHOOK_SIGNING_TOKEN") as caught:
        _ = signing_tokens(settings(SURGICAL_WEBHOOK_SIGNING_TOKEN=f"{TOKEN} {wrong}"))
    assert not any(part in str(caught.value) for part in ("v3ry", TOKEN[6:]))


def test_secrets_show_in_no_repr() -> None:
    both = settings(SURGICAL_WEBHOOK_SECRET="v3ry-secret", SURGICAL_WEBHOOK_SIGNING_TOKEN=TOKEN)
    assert "v3ry" not in repr(secret_tokens(both))
    assert TOKEN not in repr(signing_tokens(both))


def test_the_spool_lies_beside_the_ledger_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.duckdb"
    assert settings(SURGICAL_LEDGER=str(ledger)).spool_path == tmp_path / "ledger.duckdb.spool"
    elsewhere = settings(SURGICAL_LEDGER="/no/such/folder/ledger.duckdb", SURGICAL_SPOOL=str(tmp_path / "spool"))
    assert elsewhere.spool_path == tmp_path / "spool"


def test_a_spool_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    for wrong in (tmp_path, tmp_path / "missing" / "spool"):
        with pytest.raises(SettingsError, match="SURGICAL_SPOOL"):
            _ = settings(SURGICAL_SPOOL=str(wrong)).spool_path
