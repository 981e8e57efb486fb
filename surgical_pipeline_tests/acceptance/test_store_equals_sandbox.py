"""The comparison of a ledger with the sandbox sees each difference, and none where there is none."""

from pathlib import Path

import pytest

from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.random_edits import RandomEdits
from surgical_pipeline_tests.store_equals_sandbox import differences


@pytest.fixture
def store(home: Path) -> Path:
    return home / "ledger.duckdb"


def test_a_synced_ledger_equals_the_sandbox_until_something_changes(
    sandbox: RunningSandbox, sync: Sync, store: Path
) -> None:
    note = sandbox.control.add_note(12, "to be deleted").note
    sync("acme/rocket#12+13+14!35")
    assert differences(store, sandbox.url, expected=[("issue", 12), ("merge_request", 35)]) == []

    sandbox.control.update_issue(12, title="Another", labels=["type::bug"])
    sandbox.control.delete_note(note["id"])
    added = sandbox.control.add_note(13, "new").note
    sandbox.control.update_merge_request(35, labels=["type::docs"], bump_updated_at=False)
    sandbox.control.delete_issue(14)
    found = differences(store, sandbox.url, expected=[("issue", 99)])
    for said in (
        "issue 12: title is",
        "issue 12: labels is",
        "issue 12: updated_at is",
        f"issue 12: note {note['id']} was deleted, but is in the ledger",
        "issue 12: label_events lack",
        f"issue 13: note {added['id']} is not in the ledger",
        "merge_request 35: labels is",
        "merge_request 35: label_events lack",
        "issue 14 is gone, but live in the ledger",
        "issue 99 is not in the ledger",
    ):
        assert any(text.startswith(said) for text in found), (said, found)


def test_a_sync_after_random_edits_makes_them_equal_again(
    sandbox: RunningSandbox, sync: Sync, store: Path
) -> None:
    edits = RandomEdits(sandbox.control, 7, deletions=True)
    edits.make(60)
    expected = edits.expected()
    scope = (
        f"acme/rocket#{'+'.join(str(iid) for kind, iid in sorted(expected) if kind == 'issue')}"
        f"!{'+'.join(str(iid) for kind, iid in sorted(expected) if kind == 'merge_request')}"
    )
    sync(scope)
    assert differences(store, sandbox.url, expected=expected) == []
    edits.make(20)
    assert differences(store, sandbox.url) != []
