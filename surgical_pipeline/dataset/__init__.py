"""What was synced, to be read: ``from surgical_pipeline.dataset import open_dataset``."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from surgical_pipeline.dataset.dataset import Dataset, open_dataset
    from surgical_pipeline.dataset.errors import DatasetError

__all__ = ["Dataset", "DatasetError", "open_dataset"]


def __getattr__(name: str) -> object:
    """Load what is asked for: the columns alone, which Dagster shows, must not load DuckDB."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from surgical_pipeline.dataset import dataset, errors  # noqa: PLC0415  only where it is used

    return getattr(errors if name == "DatasetError" else dataset, name)
