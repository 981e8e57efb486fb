"""What a published version says of itself, in its ``manifest.json``."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from surgical_pipeline.dataset.columns import Column, ColumnType
from surgical_pipeline.dataset.errors import DatasetError

FORMAT = 1
FILE = "manifest.json"


class ManifestColumn(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    name: str
    type: ColumnType
    meaning: str


class ManifestTable(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    rows: int
    columns: tuple[ManifestColumn, ...]


class Manifest(BaseModel):
    """``ledger_id``: the same for all copies of one ledger. ``ledger_schema``: its schema's version.

    ``ledger_state`` tells whether the ledger has changed since; nobody else need understand it. ``last_run``: the
    run that the ledger knew last, ``last_run_at`` when it last worked or ended. ``confidential``: confidential
    issues and internal notes are in it. ``window_ms``: how long the ledger was held.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    format: Literal[1]
    version: int
    made_at: datetime
    made_by: str
    ledger_id: str
    ledger_schema: int
    ledger_state: str
    gitlab_url: str | None
    last_run: str | None
    last_run_at: datetime | None
    confidential: bool
    window_ms: float
    seconds: float
    tables: Mapping[str, ManifestTable]

    def columns(self) -> dict[str, tuple[Column, ...]]:
        return {
            name: tuple(Column(one.name, one.type, one.meaning) for one in table.columns)
            for name, table in self.tables.items()
        }


def read_manifest(version: Path) -> Manifest:
    """The manifest of a version's folder.

    Raises:
        FileNotFoundError: there is none, or the folder is gone.
        DatasetError: it is not one, or from a newer version of this program.
    """
    path = version / FILE
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DatasetError(
            f"{path} is not what this version of surgical-pipeline writes: update it, or publish again"
        ) from error
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from error
