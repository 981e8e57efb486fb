"""Which queries wait for other transactions before they run. On DuckDB one writer has the whole ledger.

Each guard is one statement, and holds by itself. What is left are steps of several statements that must see the
same, and numbers that must come in the order of commits. Writers of different entities meet in none of the former.

=============================== ===================================================================================
before                          why
=============================== ===================================================================================
a run gets its number           `number` is in the order in which the ledger got to know runs: the mirror and the
                                sensors tell by it whether a ledger is an older copy. Held until the run's first
                                window ends. So do prunes, which look for runs that a new run repeats.
events get their ``seq``        A sensor's cursor is the highest number that it has seen: a lower one that is
                                committed later would never be asked for. One drain after the other.
a project is written            Two projects of one path, written at once, would not see each other.
entities are written            What is stored is judged by GitLab's present time, which a wait would make the
                                past. A new entity has no row to lock: who brings one locks its project, first.
entities are compared           What is told as unchanged must be what the window then replaces.
dependents are replaced;        The version of what documents are made of is compared, and then they are written:
documents or misses are written nothing may come between. The entities' rows are locked.
vectors are written             Their text may not change before they are.
outcomes are written            Who ends a run locks its row first and its outcomes next: so does the run itself.
events are settled              Their attempts are counted on from what was read.
=============================== ===================================================================================
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LEDGER_TURNS = 0x5347
"""The first of the two numbers of our advisory locks: other programs use the same database."""

MIGRATIONS, RUN_NUMBERS, EVENT_NUMBERS = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Before:
    """A query to run first, in windows that write. ``params``: beside those of the query itself."""

    query: str
    params: Mapping[str, Any] = field(default_factory=dict)


def _turn(number: int) -> Before:
    return Before("take_turn", {"ledger_turns": LEDGER_TURNS, "turn": number})


BEFORE: Mapping[str, tuple[Before, ...]] = {
    "insert_run": (_turn(RUN_NUMBERS),),
    "queue_run": (_turn(RUN_NUMBERS),),
    "list_runs_to_spare": (_turn(RUN_NUMBERS),),
    "insert_events": (_turn(EVENT_NUMBERS),),
    "upsert_project": (Before("take_turn_of_path", {"ledger_turns": LEDGER_TURNS}), Before("lock_project")),
    "upsert_entities": (Before("lock_projects_of_new"), Before("lock_written_entities")),
    "load_live_entities": (Before("lock_project_of_new"), Before("lock_entities")),
    "tombstone_entities": (Before("lock_entities"), Before("lock_documents_of_entities")),
    "claim_dependents": (Before("lock_claimed_entities"),),
    "load_entity_versions": (Before("lock_entities"), Before("lock_documents_of_entities")),
    "load_unchanged_documents": (Before("lock_documents"),),
    "update_outcomes": (Before("lock_run"),),
    "delete_failures": (Before("lock_run"),),
    "insert_failures": (Before("lock_run"),),
    "load_pending_events_of_run": (Before("lock_events"),),
}
