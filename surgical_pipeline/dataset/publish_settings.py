"""What the environment says about published copies."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from surgical_pipeline.settings import Settings, SettingsError

EVERY_SECONDS = 300.0
ON_REQUEST = frozenset({"documents", "embeddings"})
"""Tables that are published only if they are named."""


@dataclass(frozen=True, slots=True)
class PublishSettings:
    """``folder``: of the versions; it need not exist yet. None: nothing is published.

    ``every_seconds``: how far apart the sensor's publishes are at least. ``confidential``: confidential issues and
    internal notes are published. ``also``: of ``ON_REQUEST``.
    """

    folder: Path | None
    every_seconds: float
    confidential: bool
    also: frozenset[str]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """From ``SURGICAL_PUBLISH`` and the variables that begin so.

        Raises:
            SettingsError: one of them is wrong.
        """
        return cls(
            folder=folder_of(settings),
            every_seconds=settings.seconds("SURGICAL_PUBLISH_SECONDS", EVERY_SECONDS),
            confidential=settings.switched_on("SURGICAL_PUBLISH_CONFIDENTIAL"),
            also=_also(settings.text("SURGICAL_PUBLISH_WITH")),
        )


def folder_of(settings: Settings) -> Path | None:
    """The folder alone, for those who only read.

    Raises:
        SettingsError: it is a file.
    """
    named = settings.text("SURGICAL_PUBLISH")
    if not named:
        return None
    path = Path(named).expanduser().absolute()
    if path.exists() and not path.is_dir():
        raise SettingsError(f"SURGICAL_PUBLISH {path} is a file: name a folder")
    return path


def _also(text: str) -> frozenset[str]:
    named = frozenset(name.strip() for name in text.split(",") if name.strip())
    if not named <= ON_REQUEST:
        raise SettingsError(f"SURGICAL_PUBLISH_WITH may name {','.join(sorted(ON_REQUEST))}, not {text!r}")
    return named
