from pathlib import Path

import pytest

from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.embedders.registry import EMBEDDER_NAMES
from surgical_pipeline.settings import Settings, SettingsError


def settings(**environment: str) -> Settings:
    return Settings.from_environment(environment)


def test_the_environment_is_read_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITLAB_URL", "https://gitlab.test/")
    monkeypatch.setenv("GITLAB_TOKEN", "a-token")
    gitlab = Settings.from_environment().gitlab
    assert (gitlab.url, gitlab.token.get_secret_value(), gitlab.ca_bundle) == (
        "https://gitlab.test",
        "a-token",
        None,
    )


def test_nothing_is_checked_before_it_is_needed() -> None:
    settings(GITLAB_URL="nonsense", SURGICAL_EMBEDDER="nonsense", SURGICAL_LEDGER="/no/such/folder/ledger.duckdb")


def test_a_token_shows_in_no_repr() -> None:
    gitlab = settings(GITLAB_URL="https://gitlab.test", GITLAB_TOKEN="very-secret").gitlab
    embedder = settings(SURGICAL_EMBEDDER_API_KEY="very-secret").embedder
    assert "very-secret" not in f"{gitlab!r} {gitlab} {embedder!r} {embedder}"


def test_space_around_a_value_is_no_part_of_it(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    gitlab = settings(
        GITLAB_URL=" https://gitlab.test\n", GITLAB_TOKEN="a-token\n", GITLAB_CA_BUNDLE=f" {bundle}"
    ).gitlab
    assert (gitlab.url, gitlab.token.get_secret_value()) == ("https://gitlab.test", "a-token")
    assert gitlab.ca_bundle == bundle


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({}, "GITLAB_URL is not set: export"),
        ({"GITLAB_URL": "  ", "GITLAB_TOKEN": "t"}, "GITLAB_URL is not set"),
        ({"GITLAB_URL": "https://gitlab.test"}, "GITLAB_TOKEN is not set: create a token"),
        ({"GITLAB_URL": "gitlab.test", "GITLAB_TOKEN": "t"}, "GITLAB_URL: .* must begin with http"),
        ({"GITLAB_URL": "ftp://gitlab.test", "GITLAB_TOKEN": "t"}, "GITLAB_URL: .* must begin with http"),
        ({"GITLAB_URL": "https://me:pw@gitlab.test", "GITLAB_TOKEN": "t"}, "must not contain a user name"),
        ({"GITLAB_URL": "https://gitlab.test", "GITLAB_TOKEN": "tökén"}, "GITLAB_TOKEN holds characters"),
        (
            {"GITLAB_URL": "https://gitlab.test", "GITLAB_TOKEN": "t", "GITLAB_CA_BUNDLE": "/no/such.pem"},
            "GITLAB_CA_BUNDLE /no/such.pem is no file",
        ),
        ({"GITLAB_URL": "https://gitlab.test", "GITLAB_TOKEN": "a\nb"}, "GITLAB_TOKEN holds characters"),
    ],
)
def test_a_gitlab_setting_that_is_missing_or_wrong_is_named(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        _ = settings(**environment).gitlab


def test_no_error_repeats_a_password_or_token() -> None:
    for environment in (
        {"GITLAB_URL": "https://me:very-secret@gitlab.test", "GITLAB_TOKEN": "t"},
        {"GITLAB_URL": "https://gitlab.test", "GITLAB_TOKEN": "very-secret\x00"},
    ):
        with pytest.raises(SettingsError) as caught:
            _ = settings(**environment).gitlab
        assert "very-secret" not in str(caught.value)


def test_the_ledger_lies_in_dagster_home_unless_it_is_named(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.duckdb"
    assert settings(DAGSTER_HOME=str(tmp_path)).ledger_path == tmp_path / "ledger.duckdb"
    assert settings(DAGSTER_HOME="/", SURGICAL_LEDGER=str(elsewhere)).ledger_path == elsewhere
    assert settings(SURGICAL_LEDGER=str(elsewhere)).ledger_path == elsewhere


def test_a_relative_ledger_lies_in_the_present_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings(SURGICAL_LEDGER="my.duckdb").ledger_path == tmp_path / "my.duckdb"


def test_a_ledger_that_cannot_be_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, sentence in (
        (tmp_path / "no" / "ledger.duckdb", "does not exist: create it"),
        (tmp_path / "file" / "ledger.duckdb", "does not exist"),
        (tmp_path, "is a folder: set SURGICAL_LEDGER to a file"),
    ):
        with pytest.raises(SettingsError, match=sentence):
            _ = settings(SURGICAL_LEDGER=str(path)).ledger_path


@pytest.mark.parametrize(
    ("home", "sentence"), [("", "DAGSTER_HOME is not set"), ("here", "must be an absolute path, not 'here'")]
)
def test_dagster_home_must_be_set_and_absolute(home: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        _ = settings(DAGSTER_HOME=home).dagster_home


def test_a_dagster_home_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"DAGSTER_HOME .*missing does not exist: create"):
        _ = settings(DAGSTER_HOME=str(tmp_path / "missing")).dagster_home


def test_the_embedder_is_wordllama_unless_another_is_named() -> None:
    assert settings().embedder.name == "wordllama"
    assert settings(SURGICAL_EMBEDDER=" minilm ").embedder.name == "minilm"


def test_the_http_embedder_takes_url_model_and_key() -> None:
    embedder = settings(
        SURGICAL_EMBEDDER="http",
        SURGICAL_EMBEDDER_URL="http://localhost:11434/v1",
        SURGICAL_EMBEDDER_MODEL="nomic",
        SURGICAL_EMBEDDER_API_KEY="k",
    ).embedder
    assert (embedder.url, embedder.model) == ("http://localhost:11434/v1", "nomic")
    assert embedder.api_key is not None
    assert embedder.api_key.get_secret_value() == "k"


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"SURGICAL_EMBEDDER": "gpt"}, f"'gpt': it may be {', '.join(EMBEDDER_NAMES)}"),
        ({"SURGICAL_EMBEDDER": "http"}, "needs SURGICAL_EMBEDDER_URL and SURGICAL_EMBEDDER_MODEL"),
        ({"SURGICAL_EMBEDDER": "http", "SURGICAL_EMBEDDER_URL": "http://x"}, "SURGICAL_EMBEDDER_MODEL"),
    ],
)
def test_an_embedder_that_cannot_be_is_named(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        _ = settings(**environment).embedder


def test_the_example_scope_is_read_or_refused() -> None:
    assert settings().example_scope is None
    assert settings(SURGICAL_EXAMPLE_SCOPE="acme/rocket#12").example_scope == Scope.of(
        "acme/rocket", issue_iids=[12]
    )
    with pytest.raises(SettingsError, match=r"SURGICAL_EXAMPLE_SCOPE: .* runs backwards"):
        _ = settings(SURGICAL_EXAMPLE_SCOPE="acme/rocket#9-3").example_scope


def test_the_wait_for_the_ledger_can_be_set() -> None:
    assert settings().lock_timeout_seconds == 60
    assert settings(SURGICAL_LOCK_TIMEOUT_SECONDS="2.5").lock_timeout_seconds == 2.5


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "1e300"])
def test_a_lock_timeout_that_is_no_number_of_seconds_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="a number of seconds above 0"):
        _ = settings(SURGICAL_LOCK_TIMEOUT_SECONDS=text).lock_timeout_seconds


def test_a_sweep_is_deep_where_that_is_set_and_a_typing_error_is_refused() -> None:
    assert not Settings.from_environment({}).sweep_deep
    assert Settings.from_environment({"SURGICAL_SWEEP_DEEP": "True"}).sweep_deep
    assert not Settings.from_environment({"SURGICAL_SWEEP_DEEP": "false"}).sweep_deep
    with pytest.raises(SettingsError, match="true or false"):
        _ = Settings.from_environment({"SURGICAL_SWEEP_DEEP": "yse"}).sweep_deep
