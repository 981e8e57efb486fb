from dataclasses import replace
from datetime import UTC, datetime, timedelta

from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.events.event import GitLabEvent
from surgical_pipeline.ledger.inbox import insert_events
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline_tests.integration.ledger.examples import read_sql, run_sql

NOW = datetime(2026, 7, 1, 12, 0, 0, 123_456, tzinfo=UTC)
EVENT = GitLabEvent(
    key="a",
    kind="note",
    project_id=2**63 - 1,
    project_path="acme/rocket",
    entity=EntityKey(EntityType.MERGE_REQUEST, 2**31 - 1),
    received_at=NOW,
    sent_at=NOW - timedelta(seconds=1),
    occurred_at=NOW - timedelta(seconds=2),
)
WHOLE = """
SELECT event_key, seq, kind, project_id, project_path, entity_type, iid, occurred_at, sent_at, received_at,
    state, attempts, settled_at
FROM gitlab_events ORDER BY seq
"""
BARE = replace(
    EVENT, key="b", project_path=None, sent_at=None, occurred_at=None, entity=EntityKey(EntityType.ISSUE, 1)
)


def insert(ledger: Ledger, *events: GitLabEvent) -> int:
    with ledger.write("inbox") as tx:
        return insert_events(tx, events)


def inbox(ledger: Ledger) -> list[tuple[str, int]]:
    with ledger.read() as tx:
        return [(row[0], row[1]) for row in read_sql(tx, "SELECT event_key, seq FROM gitlab_events ORDER BY seq")]


def test_an_event_is_kept_whole_and_waits_for_a_run(ledger: Ledger) -> None:
    assert insert(ledger, EVENT, BARE) == 2
    with ledger.read() as tx:
        merge_request, issue = read_sql(tx, WHOLE)
    assert merge_request[:7] == ("a", 1, "note", 2**63 - 1, "acme/rocket", "merge_request", 2**31 - 1)
    assert merge_request[7:] == (EVENT.occurred_at, EVENT.sent_at, EVENT.received_at, "pending", 0, None)
    assert issue == ("b", 2, "note", 2**63 - 1, None, "issue", 1, None, None, NOW, "pending", 0, None)


def test_numbers_follow_the_order_of_arrival_over_all_windows(ledger: Ledger) -> None:
    insert(ledger, *(replace(EVENT, key=key) for key in "zyx"))
    insert(ledger, *(replace(EVENT, key=key) for key in "cba"))
    assert inbox(ledger) == [(key, number) for number, key in enumerate("zyxcba", start=1)]


def test_an_event_that_comes_again_changes_nothing_and_takes_no_number(ledger: Ledger) -> None:
    insert(ledger, replace(EVENT, key="a"), replace(EVENT, key="b"))
    with ledger.write("settle") as tx:
        run_sql(tx, "UPDATE gitlab_events SET state = 'done', settled_at = now() WHERE event_key = 'a'")
    again = [replace(EVENT, key=key, kind="issue") for key in "acb"]
    assert insert(ledger, *again) == 1
    assert inbox(ledger) == [("a", 1), ("b", 2), ("c", 3)]
    with ledger.read() as tx:
        assert read_sql(tx, "SELECT state, kind FROM gitlab_events WHERE event_key = 'a'") == [("done", "note")]


def test_no_event_at_all_is_fine(ledger: Ledger) -> None:
    assert insert(ledger) == 0
    assert inbox(ledger) == []
