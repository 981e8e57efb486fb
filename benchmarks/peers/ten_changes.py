"""The ten issues that change between two syncs, and what of the changes a tool has seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import httpx

from benchmarks.peers.ours import PROJECT
from surgical_pipeline.sandbox.control_client import SandboxControl

TITLE, NEW_NOTE, LATE_LABEL, DELETED_NOTE = range(4), range(4, 6), range(6, 8), range(8, 10)
"""Places among the ten, by what changes there."""
NUMBER = 10


@dataclass(frozen=True)
class State:
    """One issue as it is stored. ``notes``: their texts; ``label_events``: ids. None: the tool reads none."""

    title: str
    labels: frozenset[str]
    notes: frozenset[str] | None = None
    label_events: frozenset[int] | None = None


@dataclass(frozen=True)
class Look:
    """How many of each kind of change a tool has. ``issues``: whose title and labels are GitLab's."""

    issues: int
    labels: int
    new_notes: int
    deleted_notes: int
    label_events: int


class Ten:
    """Changes them, and reads what GitLab has of them."""

    def __init__(self, control: SandboxControl, *, url: str, token: str, iids: Sequence[int]) -> None:
        self.iids = list(iids[:NUMBER])
        self._control = control
        self._issues = f"{url}/api/v4/projects/{quote(PROJECT, safe='')}/issues"
        self._token = token
        self._doomed: dict[tuple[int, int], int] = {}

    def prepare(self, *, rounds: int) -> None:
        """Give a note to delete to each round."""
        for place in DELETED_NOTE:
            for number in range(rounds):
                added = self._control.add_note(self.iids[place], f"To be deleted in round {number}.")
                self._doomed[place, number] = added.note["id"]

    def change(self, number: int) -> None:
        for place in TITLE:
            self._control.update_issue(self.iids[place], title=f"Another title, round {number}")
        for place in NEW_NOTE:
            self._control.add_note(self.iids[place], f"A new note, round {number}.", bump_updated_at=True)
        for place in LATE_LABEL:
            known = self._get(f"/{self.iids[place]}")["labels"]
            wanted = sorted({"bug", "backend"} - set(known)) or ["bug"]
            self._control.update_issue(self.iids[place], labels=wanted[:1], bump_updated_at=False)
        for place in DELETED_NOTE:
            self._control.delete_note(self._doomed[place, number])

    def truth(self) -> Mapping[int, State]:
        found = {}
        for iid in self.iids:
            issue = self._get(f"/{iid}")
            notes = [note["body"] for one in self._get(f"/{iid}/discussions") for note in one["notes"]]
            events = [event["id"] for event in self._get(f"/{iid}/resource_label_events")]
            found[iid] = State(issue["title"], frozenset(issue["labels"]), frozenset(notes), frozenset(events))
        return found

    def look(self, stored: Mapping[int, State], truth: Mapping[int, State], number: int) -> Look:
        pairs = [(stored[iid], truth[iid]) for iid in self.iids]
        return Look(
            sum((one.title, one.labels) == (real.title, real.labels) for one, real in pairs),
            sum(pairs[place][0].labels == pairs[place][1].labels for place in LATE_LABEL),
            sum(f"A new note, round {number}." in (pairs[place][0].notes or ()) for place in NEW_NOTE),
            sum(pairs[place][0].notes == pairs[place][1].notes for place in DELETED_NOTE),
            sum(pairs[place][0].label_events == pairs[place][1].label_events for place in LATE_LABEL),
        )

    def _get(self, path: str) -> Any:
        answer = httpx.get(
            f"{self._issues}{path}", params={"per_page": 100}, headers={"PRIVATE-TOKEN": self._token}, timeout=60
        )
        return answer.raise_for_status().json()


def of_records(issues: Mapping[int, Mapping[str, Any]], iids: Sequence[int]) -> Mapping[int, State]:
    return {iid: State(issues[iid]["title"], frozenset(issues[iid]["labels"])) for iid in iids}


def of_ledger(path: Path, iids: Sequence[int]) -> Mapping[int, State]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return {iid: _of_issue(connection, iid) for iid in iids}


def _of_issue(connection: duckdb.DuckDBPyConnection, iid: int) -> State:
    ((title, labels),) = connection.execute(
        "SELECT title, CAST(payload -> 'labels' AS VARCHAR[]) FROM issues WHERE iid = $iid AND deleted_at IS NULL",
        {"iid": iid},
    ).fetchall()
    owned = "WHERE noteable_iid = $iid AND noteable_type = 'issue'"
    notes = connection.execute(f"SELECT payload ->> 'body' FROM notes {owned}", {"iid": iid}).fetchall()
    events = connection.execute(
        f"SELECT event_id FROM resource_events {owned} AND event_type = 'label_events'", {"iid": iid}
    ).fetchall()
    return State(title, frozenset(labels), frozenset(one for (one,) in notes), frozenset(one for (one,) in events))
