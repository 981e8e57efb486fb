"""The example notebook, run by a real kernel; as a program, it draws the README's picture of it.

`python -m surgical_pipeline_tests.example_notebook` syncs what the sandbox has, publishes it, runs the notebook on
the copy and writes `docs/images/reading.png`.
"""

import base64
import os
import tempfile
from pathlib import Path
from typing import Any

import nbclient
import nbformat

from surgical_pipeline.dataset.publishing import publish
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.dagster_home import prepare, run_job
from surgical_pipeline_tests.surroundings import REPOSITORY

NOTEBOOK = REPOSITORY / "examples" / "reading.ipynb"
PICTURE = REPOSITORY / "docs" / "images" / "reading.png"
_SHOWN = "Days until an issue is closed"
"""What it shows does not hang on when it is drawn."""
_SCOPE = "acme/rocket#1-200!1-60"


def read_notebook() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def run_notebook(*more: str) -> Any:
    """The notebook with its outputs, run in this process's environment.

    ``more``: code of cells before its last.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = read_notebook()
    notebook.cells[-1:-1] = [nbformat.v4.new_code_cell(text) for text in more]
    place = {"metadata": {"path": str(NOTEBOOK.parent)}}
    client = nbclient.NotebookClient(notebook, timeout=120, resources=place)
    return client.execute()


def pictures_of(notebook: Any) -> list[bytes]:
    return [
        base64.b64decode(output["data"]["image/png"])
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    ]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, RunningSandbox() as sandbox:
        home = Path(folder)
        prepare(home)
        os.environ |= {"DAGSTER_HOME": folder, "GITLAB_URL": sandbox.url, "GITLAB_TOKEN": sandbox.token}
        os.environ["SURGICAL_PUBLISH"] = str(home / "published")
        ledger = DuckDBLedger(home / "ledger.duckdb")
        run_job(ledger, _SCOPE)
        publish(ledger, home / "published")
        notebook = run_notebook()
    shown = next(number for number, cell in enumerate(charts(notebook)) if _SHOWN in cell["source"])
    PICTURE.write_bytes(pictures_of(notebook)[shown])


def charts(notebook: Any) -> list[Any]:
    """The cells that draw."""
    return [cell for cell in notebook.cells if "alt.Chart(" in cell["source"]]


if __name__ == "__main__":
    main()
