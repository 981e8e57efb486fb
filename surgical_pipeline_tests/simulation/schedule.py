"""From a seed to its surroundings and its schedule."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from surgical_pipeline_tests.simulation.steps import (
    Cancel,
    CancelBackfill,
    Edit,
    EditName,
    FailBackfill,
    GoOn,
    Hold,
    HookFate,
    Kill,
    Lag,
    ProcessName,
    ResumeBackfill,
    Retry,
    SetClock,
    Stall,
    StartBackfill,
    Step,
    Sync,
    Trouble,
    TroubleName,
)

_EDITS: dict[EditName, int] = {
    "retitle": 8,
    "describe": 4,
    "relabel": 6,
    "close_or_reopen": 3,
    "note": 10,
    "edit_note": 3,
    "delete_note": 3,
    "emoji": 1,
    "confidential": 1,
    "create_issue": 2,
    "create_merge_request": 2,
    "prepare": 2,
    "backdate": 1,
    "delete": 1,
    "back_up": 1,
    "restore_backup": 1,
}
_SHARE_OF_LARGER = 0.3
_HOOKS: tuple[Literal["project", "group", "system"], ...] = ("project", "project", "group", "system")
_TROUBLES: tuple[TroubleName, ...] = ("429", "500", "502", "slow", "no connection", "broken JSON")
_SHARE_WITH_BACKFILLS = 0.4
_PROCESSES: tuple[ProcessName, ...] = ("daemon", "receiver", "run", "run", "run")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a simulation is like from its beginning to its end.

    Args:
        issues: how many there are at first.
        merge_requests: the same.
        page: rows of GitLab's largest page.
        imported: all that is there at first has one and the same time.
        keyset: whether GitLab pages issues by a cursor; "ignored": as before 18.3.
        guest: the token may not see confidential issues, and pages have gaps.
        signed: hooks are signed, so that events have GitLab's time.
        hooks: whether there are any.
        clocks: how far the clocks of the machines are ahead of GitLab's, in seconds.
        database: the same of the machine of the ledger's server, if it has one.
        drift: seconds that these clocks gain per second.
        noticed: the share of dead runs whose end Dagster notices by itself.
        slow: the share of pauses in a process that take seconds.
        pages: after so many pages of a list GitLab refuses page numbers; None: after 50,000 rows.
        hook: whose hook it is. Those of a group and of the whole GitLab tell of a neighbour project, too; a system
            hook tells of merge requests alone.
        of_group: sensors watch the group, whose lists are read, instead of the project.
    """

    issues: int
    merge_requests: int
    page: int
    imported: bool
    keyset: bool | Literal["ignored"]
    guest: bool
    signed: bool
    hooks: bool
    clocks: tuple[float, float]
    database: float
    drift: float
    noticed: float
    slow: float
    pages: int | None
    hook: Literal["project", "group", "system"]
    of_group: bool


def surroundings_of(seed: int) -> Surroundings:
    random, larger = Random(f"{seed}/surroundings"), Random(f"{seed}/group")
    is_larger = larger.random() < _SHARE_OF_LARGER
    return Surroundings(
        issues=random.choice((1, 2, 2, 3)),
        merge_requests=random.choice((0, 1, 1, 2)),
        page=random.choice((1, 2, 100, 100)),
        imported=random.random() < 0.3,
        keyset=_keyset(random),
        guest=random.random() < 0.2,
        signed=random.random() < 0.5,
        hooks=random.random() < 0.7,
        clocks=(_offset(random), _offset(random)),
        database=_offset(Random(f"{seed}/database")),
        drift=random.choice((0.0, 0.0, 1e-4, -1e-4)),
        noticed=random.choice((0.0, 0.5, 1.0)),
        slow=random.choice((0.0, 0.01, 0.03, 0.1)),
        pages=larger.choice((None, 1, 2)) if is_larger else None,
        hook=larger.choice(_HOOKS) if is_larger else "project",
        of_group=is_larger and larger.random() < 0.4,
    )


def _keyset(random: Random) -> bool | Literal["ignored"]:
    choices: tuple[bool | Literal["ignored"], ...] = (True, True, False, "ignored")
    return random.choice(choices)


def _offset(random: Random) -> float:
    return random.choice((0.0, 0.0, 0.3, 7.0, -7.0, 50.0, -50.0))


def schedule_of(seed: int) -> list[Step]:
    """Some minutes of edits and of what goes wrong, in order."""
    random = Random(f"{seed}/schedule")
    seconds = random.choice((60, 120, 240))
    kinds: Sequence[tuple[float, Callable[[Random, float], Step]]] = (
        (12, _edit),
        (random.choice((0, 1, 3)), _kill),
        (random.choice((0, 1, 2)), _stall),
        (random.choice((0, 0, 1)), _trouble),
        (random.choice((0, 1, 3)), _lag),
        (random.choice((0, 0, 1)), _hold),
        (random.choice((0, 0, 0, 1)), _set_clock),
        (random.choice((0, 1, 2)), _sync),
        (random.choice((0, 0, 1)), _cancel),
        (random.choice((0, 0, 1)), _go_on),
    )
    weights, makers = zip(*kinds, strict=True)
    times = sorted(random.uniform(1, seconds) for _ in range(random.choice((6, 12, 20))))
    steps = [
        make(random, round(at, 3))
        for at, make in zip(times, random.choices(makers, weights, k=len(times)), strict=True)
    ]
    return sorted([*steps, *_backfills(seed, seconds)], key=lambda step: step.at)


def _backfills(seed: int, seconds: float) -> list[Step]:
    """What people do with backfills, in some seeds: one at least, and what may follow."""
    random = Random(f"{seed}/backfills")
    if random.random() > _SHARE_WITH_BACKFILLS:
        return []
    makers: Sequence[Callable[[Random, float], Step]] = (
        _start_backfill,
        _cancel_backfill,
        _fail_backfill,
        _resume_backfill,
        _resume_backfill,
        _retry,
        _kill_command,
        _kill,
    )
    first = random.uniform(1, seconds / 2)
    rest = sorted(random.uniform(first, seconds * 2) for _ in range(random.choice((1, 3, 6))))
    return [
        _start_backfill(random, round(first, 3)),
        *(random.choice(makers)(random, round(at, 3)) for at in rest),
    ]


def _start_backfill(random: Random, at: float) -> StartBackfill:
    which = () if random.random() < 0.4 else tuple(sorted(random.sample(range(60), random.choice((1, 2, 4)))))
    chunk, only_changed = random.choice((1, 1, 2, 500)), random.random() < 0.4
    again = random.choice((3, 20, 60))
    death = Random(f"{at}/death")  # a draw of its own, so that seeds stay what they are
    dies_in = death.randrange(16) if death.random() < 0.5 else None
    return StartBackfill(at, which, chunk, only_changed, again, dies_in)


def _cancel_backfill(random: Random, at: float) -> CancelBackfill:
    return CancelBackfill(at, random.randrange(4))


def _fail_backfill(random: Random, at: float) -> FailBackfill:
    return FailBackfill(at, random.randrange(4))


def _resume_backfill(random: Random, at: float) -> ResumeBackfill:
    return ResumeBackfill(at, random.randrange(4), random.choice((0, 0, 5, 60)))


def _retry(random: Random, at: float) -> Retry:
    return Retry(at, random.randrange(8))


def _kill_command(random: Random, at: float) -> Kill:
    return Kill(at, "command", random.randrange(4), random.choice((0, random.randrange(20))))


def _edit(random: Random, at: float) -> Edit:
    [what] = random.choices(list(_EDITS), list(_EDITS.values()))
    return Edit(at, what, random.randrange(60), random.randrange(10_000), _fate(random))


def _fate(random: Random) -> HookFate:
    how = random.random()
    if how < 0.2:
        return HookFate(())
    delay = random.choice((0.1, 0.1, 2.0, 30.0))
    first = round(random.uniform(0, delay), 3)
    return HookFate((first, round(first + random.uniform(0, 5), 3))) if how < 0.4 else HookFate((first,))


def _kill(random: Random, at: float) -> Kill:
    return Kill(at, random.choice(_PROCESSES), random.randrange(8), random.choice((0, random.randrange(60))))


def _stall(random: Random, at: float) -> Stall:
    return Stall(at, random.randrange(8), random.randrange(40), random.choice((15, 40, 100, 200)))


def _trouble(random: Random, at: float) -> Trouble:
    times = random.choice((1, 3, 8, 20))
    return Trouble(at, random.choice(_TROUBLES), times, random.choice((0, 0, 2, 5)), random.choice((1, 5, 25, 60)))


def _lag(random: Random, at: float) -> Lag:
    return Lag(at, random.choice((0, 30, 60, 60)), random.choice((1, 1, 2, 3)))


def _hold(random: Random, at: float) -> Hold:
    return Hold(at, random.choice((1, 10, 45, 100)))


def _set_clock(random: Random, at: float) -> SetClock:
    return SetClock(at, random.randrange(2), random.choice((0.0, 20.0, -20.0, 55.0)))


def _sync(random: Random, at: float) -> Sync:
    which = tuple(sorted(random.sample(range(60), random.choice((1, 1, 2, 3)))))
    return Sync(at, which, only_changed=random.random() < 0.3)


def _cancel(random: Random, at: float) -> Cancel:
    return Cancel(at, random.randrange(8))


def _go_on(_random: Random, at: float) -> GoOn:
    return GoOn(at)
