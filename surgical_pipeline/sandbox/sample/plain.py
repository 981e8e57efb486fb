"""Composed issues and merge requests, for samples larger than what was written by hand."""

from __future__ import annotations

import random
from typing import Final

from surgical_pipeline.sandbox.sample.people import ENGINEERS
from surgical_pipeline.sandbox.sample.script import Remark, Story

_SUBJECTS: Final = (
    ("pressure sensor {n}", "component::telemetry"),
    ("valve actuator {n}", "component::flight"),
    ("console panel {n}", "component::console"),
    ("relay station {n}", "component::ground"),
    ("archive node {n}", "component::platform"),
    ("battery string {n}", "component::flight"),
    ("camera feed {n}", "component::console"),
    ("downlink channel {n}", "component::telemetry"),
)
_TROUBLES: Final = (
    ("drops samples", "Samples go missing for about {n} ms whenever the link is handed over."),
    ("reports the wrong unit", "Values arrive in psi and are shown as bar, a factor of 14.5 off."),
    ("does not recover after a restart", "After a restart it stays in `INIT` until somebody toggles it by hand."),
    ("raises a false alarm", "The alarm fires at {n} although the limit is well above that."),
    ("is slow to answer", "The 99th percentile of the answer time is {n} ms, agreed were 200 ms."),
    ("has no calibration record", "The last calibration in the archive is older than 90 days."),
)
_REPLIES: Final = (
    "Seen here too, on the second string. I attached the capture to the run folder.",
    "Not before the rehearsal, please. It can be worked around by hand.",
    "The log shows a reconnect half a second earlier, that is probably the cause.",
    "Fixed on the bench; I will leave this open until it ran for a full shift.",
    "Same symptom as in spring. Compare the firmware versions first.",
)

_REPLY_SHARE: Final = 0.5


def plain_issue(iid: int) -> Story:
    """An ordinary issue with one to three notes, different for each IID."""
    choice = random.Random(f"plain issue {iid}")
    (subject, label), (trouble, text) = choice.choice(_SUBJECTS), choice.choice(_TROUBLES)
    number = 100 + iid
    title = f"{subject.format(n=number).capitalize()} {trouble}"
    seen = f"Seen on {subject.format(n=number)} during shift {iid % 3 + 1}."
    body = f"{text.format(n=200 + choice.randrange(700))}\n\n{seen}"
    return Story("issue", title, body, _remarks(choice), (label, "type::bug"))


def plain_change(iid: int) -> Story:
    """An ordinary merge request with one to three notes."""
    choice = random.Random(f"plain change {iid}")
    subject, label = choice.choice(_SUBJECTS)
    name = subject.format(n=100 + iid)
    body = f"Checks the range of what {name} reports and says so in the log when it is off."
    attributes = {"files": f"src/limits/{label.partition('::')[2]}_{iid}.rs, tests/limits_{iid}_test.rs"}
    return Story("merge_request", f"Check the range of {name}", body, _remarks(choice), (label,), attributes)


def _remarks(choice: random.Random) -> tuple[Remark, ...]:
    texts = choice.sample(_REPLIES, 1 + choice.randrange(3))
    return tuple(
        Remark(choice.choice(ENGINEERS), text, reply=number > 0 and choice.random() < _REPLY_SHARE)
        for number, text in enumerate(texts)
    )
