"""What the environment says about this installation, read once on demand.

Nothing here opens a file or a connection. A value that is missing or wrong is reported when something needs it,
so that reading the ledger does not ask for a GitLab token.
"""

import os
import re
import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.moments import moment_of
from surgical_pipeline.domain.scope import Scope, ScopeError
from surgical_pipeline.domain.watches import Watch, WatchError, parse_watches
from surgical_pipeline.embedders.registry import DEFAULT_EMBEDDER, EMBEDDER_NAMES, EmbedderSettings
from surgical_pipeline.gitlab.base_url import validate_base_url

LOCK_TIMEOUT_SECONDS = 60.0
_OWNER = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+|team:[A-Za-z0-9_.-]+")
_NO_FILE = (
    "the ledger is in PostgreSQL and no file: use pg_dump or VACUUM, or copy it to a file with `ledger copy`"
)
_POSTGRES = ("postgresql://", "postgres://")
QUOTES = tuple("\"'`\u2018\u2019\u201c\u201d\u201e\xab\xbb")


class SettingsError(ValueError):
    """A missing or wrong setting; the message says which and what to do.

    ``code``: the failure code of a run that this ends.
    """

    def __init__(self, message: str, code: FailureCode = FailureCode.LEDGER_ERROR) -> None:
        self.code = code
        super().__init__(message)


class DagsterHomeError(Exception):
    """The content of DAGSTER_HOME cannot be created, read or written; the message says why and what to do."""


class GitLabSettings(BaseModel):
    """Where GitLab is. ``url`` is checked and has no trailing slash; ``ca_bundle`` is a PEM file."""

    model_config = ConfigDict(frozen=True)

    url: str
    token: SecretStr
    ca_bundle: Path | None = None


class Settings(BaseModel):
    """The environment variables of this project by their meaning; docs/configuration.md lists them."""

    model_config = ConfigDict(frozen=True)

    environment: Mapping[str, str] = Field(repr=False)  # the token, passwords

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        return cls(environment=dict(os.environ if environment is None else environment))

    @property
    def gitlab_url(self) -> str:
        """The checked address of GitLab, without a trailing slash.

        Raises:
            SettingsError: ``GITLAB_URL`` is missing or invalid.
        """
        url = self._unquoted("GITLAB_URL")
        if not url:
            raise SettingsError(
                "GITLAB_URL is not set: export the address of your GitLab, such as https://gitlab.com",
                FailureCode.NETWORK_ERROR,
            )
        try:
            return validate_base_url(url)
        except ValueError as error:
            raise SettingsError(f"GITLAB_URL: {error}", FailureCode.NETWORK_ERROR) from error

    @property
    def gitlab(self) -> GitLabSettings:
        """Where GitLab is.

        Raises:
            SettingsError: ``GITLAB_URL`` or ``GITLAB_TOKEN`` is missing, in quotes or invalid, or
                ``GITLAB_CA_BUNDLE`` is not a file.
        """
        url, token = self.gitlab_url, self._unquoted("GITLAB_TOKEN")
        if not token:
            raise SettingsError(
                "GITLAB_TOKEN is not set: create a token with the scope read_api in GitLab and export it",
                FailureCode.UNAUTHORIZED,
            )
        if not token.isascii() or not token.isprintable():
            raise SettingsError(
                "GITLAB_TOKEN holds characters that no token has: copy it again", FailureCode.UNAUTHORIZED
            )
        ca_bundle = self.text("GITLAB_CA_BUNDLE")
        if ca_bundle and not (Path(ca_bundle).is_file() and os.access(ca_bundle, os.R_OK)):
            raise SettingsError(
                f"GITLAB_CA_BUNDLE {ca_bundle} is no file that can be read: export the path of a PEM file",
                FailureCode.NETWORK_ERROR,
            )
        return GitLabSettings(url=url, token=SecretStr(token), ca_bundle=Path(ca_bundle) if ca_bundle else None)

    @property
    def dagster_home(self) -> Path:
        """Dagster's folder, which also holds the ledger unless `SURGICAL_LEDGER` says otherwise.

        Raises:
            SettingsError: ``DAGSTER_HOME`` is not set, not absolute or not a folder.
        """
        home = self.text("DAGSTER_HOME")
        if not home:
            raise SettingsError(
                "DAGSTER_HOME is not set: run from the project folder (its .env sets it), "
                "or export the folder that holds dagster.yaml"
            )
        path = Path(home).expanduser()
        if not path.is_absolute():
            raise SettingsError(f"DAGSTER_HOME must be an absolute path, not {home!r}")
        if not path.is_dir():
            what = "is no folder" if path.exists() else "does not exist"
            raise SettingsError(f"DAGSTER_HOME {path} {what}: create the folder, or export another")
        return path

    @property
    def dagster_instance(self) -> str | None:
        """The name of the Dagster instance in the rows of its runs, if it is not to be its storage's own id."""
        return self.text("SURGICAL_DAGSTER_INSTANCE") or None

    @property
    def ledger_address(self) -> SecretStr | None:
        """Of a ledger in PostgreSQL, as it was written; it may hold a password. None: the ledger is a file."""
        named = self.text("SURGICAL_LEDGER").lstrip("".join(QUOTES)).lower()
        return SecretStr(self._unquoted("SURGICAL_LEDGER")) if named.startswith(_POSTGRES) else None

    @property
    def ledger_path(self) -> Path:
        """The DuckDB file; it need not exist yet.

        Raises:
            SettingsError: the ledger's folder does not exist, neither variable says where it is, or it is no file.
        """
        named = self.text("SURGICAL_LEDGER")
        if self.ledger_address is not None:
            raise SettingsError(_NO_FILE)
        path = Path(named).expanduser().absolute() if named else self.dagster_home / "ledger.duckdb"
        _check_place(path, "ledger", variable="SURGICAL_LEDGER")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise SettingsError(f"the ledger {path} cannot be written by this user: check its permissions")
        return path

    @property
    def lock_timeout_seconds(self) -> float:
        """The longest wait for the ledger while others hold it: ``SURGICAL_LOCK_TIMEOUT_SECONDS``."""
        return self.seconds("SURGICAL_LOCK_TIMEOUT_SECONDS", LOCK_TIMEOUT_SECONDS)

    @property
    def embedder(self) -> EmbedderSettings:
        """Which embedder, and where it is.

        Raises:
            SettingsError: ``SURGICAL_EMBEDDER`` names none we have, or ``http`` lacks its URL or model.
        """
        name = self.text("SURGICAL_EMBEDDER") or DEFAULT_EMBEDDER
        if name not in EMBEDDER_NAMES:
            raise SettingsError(
                f"SURGICAL_EMBEDDER is {name!r}: it may be {', '.join(EMBEDDER_NAMES)}", FailureCode.EMBEDDER_ERROR
            )
        url, model = self.text("SURGICAL_EMBEDDER_URL"), self.text("SURGICAL_EMBEDDER_MODEL")
        if name == "http" and not (url and model):
            raise SettingsError(
                "SURGICAL_EMBEDDER=http needs SURGICAL_EMBEDDER_URL and SURGICAL_EMBEDDER_MODEL",
                FailureCode.EMBEDDER_ERROR,
            )
        key = SecretStr(self.text("SURGICAL_EMBEDDER_API_KEY"))
        return EmbedderSettings(name=name, url=url or None, model=model or None, api_key=key or None)

    @property
    def watches(self) -> tuple[Watch, ...]:
        """What the sensors watch, from ``SURGICAL_PROJECTS``; empty if it is not set.

        Raises:
            SettingsError: an entry names no project and no group, or there are too many.
        """
        try:
            return parse_watches(self._unquoted("SURGICAL_PROJECTS"))
        except WatchError as error:
            raise SettingsError(f"SURGICAL_PROJECTS: {error}", FailureCode.NOT_FOUND) from error

    @property
    def owners(self) -> tuple[str, ...]:
        """Whom Dagster's catalog names as the owners of the assets, from ``SURGICAL_OWNERS``.

        Raises:
            SettingsError: one is neither an e-mail address nor a team.
        """
        owners = [owner.strip() for owner in self._unquoted("SURGICAL_OWNERS").split(",") if owner.strip()]
        for owner in owners:
            if not _OWNER.fullmatch(owner):
                raise SettingsError(
                    f"SURGICAL_OWNERS: {owner!r} is neither an e-mail address nor a team such as team:data"
                )
        return tuple(dict.fromkeys(owners))

    @property
    def expects_hooks(self) -> bool:
        """Whether GitLab is meant to send hooks to this installation: a secret for them is set."""
        return bool(self.text("SURGICAL_WEBHOOK_SECRET") or self.text("SURGICAL_WEBHOOK_SIGNING_TOKEN"))

    @property
    def sweep_deep(self) -> bool:
        """Whether sweeps fetch the dependents of all they look at, changed or not: ``SURGICAL_SWEEP_DEEP``."""
        return self.switched_on("SURGICAL_SWEEP_DEEP")

    @property
    def spool_path(self) -> Path:
        """The receiver's SQLite file; it need not exist yet.

        Raises:
            SettingsError: its folder does not exist, it is a folder or the ledger, or nothing says where it is.
        """
        named = self.text("SURGICAL_SPOOL")
        if not named:
            ledger = self.dagster_home / "ledger" if self.ledger_address else self.ledger_path
            return ledger.with_name(f"{ledger.name}.spool")
        path = Path(named).expanduser().absolute()
        _check_place(path, "spool", variable="SURGICAL_SPOOL")
        return path

    @property
    def since(self) -> datetime | None:
        """From when on changes count for a project that is watched for the first time: ``SURGICAL_SINCE``.

        None: not set; they count from then on.

        Raises:
            SettingsError: it is no ISO date, and no time with a zone.
        """
        text = self.text("SURGICAL_SINCE")
        try:
            return moment_of(text) if text else None
        except ValueError as error:
            raise SettingsError(f"SURGICAL_SINCE {error}") from error

    @property
    def example_scope(self) -> Scope | None:
        """What the launchpad is prefilled with: ``SURGICAL_EXAMPLE_SCOPE``, set by `make ui`; else nothing.

        Raises:
            SettingsError: it is set to something that is no scope.
        """
        text = self.text("SURGICAL_EXAMPLE_SCOPE")
        try:
            return Scope.parse(text) if text else None
        except ScopeError as error:
            raise SettingsError(f"SURGICAL_EXAMPLE_SCOPE: {error}") from error

    def switched_on(self, name: str) -> bool:
        """Whether a variable is true; one that is not set is false. Anything else is a SettingsError."""
        text = self.text(name).lower()
        if text not in ("", "true", "false"):
            raise SettingsError(f"{name} must be true or false, not {text!r}")
        return text == "true"

    def seconds(self, name: str, default: float) -> float:
        """A variable that is a number of seconds above 0. Anything else is a SettingsError."""
        text = self.text(name)
        try:
            seconds = float(text or default)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds <= threading.TIMEOUT_MAX:
            raise SettingsError(f"{name} must be a number of seconds above 0, not {text!r}")
        return seconds

    def text(self, name: str) -> str:
        """A variable without blanks around it; empty if it is not set."""
        return self.environment.get(name, "").strip()

    def _unquoted(self, name: str) -> str:
        """The value; a quotation mark at either end is a mistake: `docker --env-file` does not remove them."""
        value = self.text(name)
        if value[:1] in QUOTES or value[-1:] in QUOTES:
            code = FailureCode.UNAUTHORIZED if name == "GITLAB_TOKEN" else FailureCode.NETWORK_ERROR
            raise SettingsError(f"{name} is in quotes, and they are part of the value: set it without them", code)
        return value


def _check_place(path: Path, what: str, *, variable: str) -> None:
    if not path.parent.is_dir():
        raise SettingsError(f"the {what}'s folder {path.parent} does not exist: create it, or set {variable}")
    if path.is_dir():
        raise SettingsError(f"the {what} {path} is a folder: set {variable} to a file")
