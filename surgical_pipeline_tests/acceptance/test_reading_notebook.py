"""`examples/reading.ipynb` in a real kernel: it runs from first cell to last, and its figures are right."""

import json
from pathlib import Path

import pytest

from surgical_pipeline.dataset.publishing import publish
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.example_notebook import charts, pictures_of, read_notebook, run_notebook
from surgical_pipeline_tests.integration.dataset.given import bring, events_of, issue_of, merge_request_of, stamp
from surgical_pipeline_tests.integration.ledger.examples import issue

DAY = 86_400
FIGURES = """
import json
print(json.dumps({
    "close": to_close.set_index("labels").to_dict("index"),
    "label": in_label.set_index("label").to_dict("index"),
    "slowest": slowest.set_index("merge request").to_dict("index"),
}))
"""


@pytest.fixture
def folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SURGICAL_PUBLISH", str(home / "published"))
    return home / "published"


def test_it_is_stored_without_outputs() -> None:
    """They would hold somebody's data, and differ with every run."""
    cells = [cell for cell in read_notebook().cells if cell["cell_type"] == "code"]
    assert [(cell["outputs"], cell["execution_count"]) for cell in cells] == [([], None)] * len(cells)


def test_it_draws_a_picture_of_each_question_to_a_copy_of_what_was_synced(
    sync: Sync, ledger: DuckDBLedger, folder: Path
) -> None:
    sync("acme/rocket#12-40!31-45")
    publish(ledger, folder)
    notebook = run_notebook()
    drawn = pictures_of(notebook)
    assert len(drawn) == len(charts(notebook)) == 3
    assert all(picture.startswith(b"\x89PNG") and len(picture) > 5_000 for picture in drawn)
    told = [output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ())]
    assert "".join(told) == "", "nothing is printed, no warning either"


def test_its_figures_are_those_of_the_data(ledger: DuckDBLedger, folder: Path) -> None:
    def closed(iid: int, days: int, *labels: str) -> object:
        times = {"created_at": stamp(0), "closed_at": stamp(days * DAY)}
        return issue_of(iid, state="closed", labels=list(labels), **times)

    added = {"action": "add", "label": {"name": "bug"}}
    bring(
        ledger,
        closed(1, 2, "bug"),  # type: ignore[arg-type]
        closed(2, 4, "bug", "slow"),  # type: ignore[arg-type]
        closed(3, 9, "bug"),  # type: ignore[arg-type]
        issue_of(4, created_at=stamp(0), labels=["open"]),
        events_of(issue(1), "label_events", (0, added), (3 * DAY, {**added, "action": "remove"}), fetched=9 * DAY),
        merge_request_of(7, state="merged", created_at=stamp(0), merged_at=stamp(5 * DAY)),
        merge_request_of(8, state="opened", created_at=stamp(0)),
    )
    publish(ledger, folder)
    notebook = run_notebook(FIGURES)
    (told,) = [output["text"] for cell in notebook.cells for output in cell.get("outputs", ()) if "text" in output]
    figures = json.loads(told)
    assert figures["close"] == {"bug": {"issues": 3, "median": 4.0}, "slow": {"issues": 1, "median": 4.0}}
    assert figures["label"]["bug"] == {"of": "Issue", "spans": 1, "days": 3.0}
    assert {name: row["days to reviewed"] for name, row in figures["slowest"].items()} == {"acme/rocket!7": 5.0}


@pytest.mark.usefixtures("home")
def test_without_a_copy_it_reads_the_ledger(ledger: DuckDBLedger) -> None:
    bring(ledger, issue_of(1, state="closed", labels=["bug"], created_at=stamp(0), closed_at=stamp(DAY)))
    notebook = run_notebook("print(dataset.version)")
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert "None\n" in [output.get("text") for output in outputs]
    assert len(pictures_of(notebook)) == 1
    told = [output["data"]["text/plain"] for output in outputs if "data" in output]
    assert told.count("'There is nothing to draw yet.'") == 2, "no labels' events, no merge requests"
