"""Entities that are hard to digest: huge, long, foreign, confidential, moved, with pictures inside."""

from __future__ import annotations

import base64
import random
from typing import Final

from surgical_pipeline.sandbox.sample.people import ENGINEERS
from surgical_pipeline.sandbox.sample.prose_oddities import NIGHT_SHIFT, ODD_STORIES
from surgical_pipeline.sandbox.sample.script import Remark, Story, Topic, read_script

_LONG_THREAD_NOTES: Final = 150
_NOTES_TO_A_THREAD: Final = 5
_MEGABYTE: Final = 1_000_000


def odd_topics() -> list[Topic]:
    """The hand-written odd ones, then the long thread, the huge description, the picture, the empty one."""
    made = (_long_thread(), _huge_description(), _picture(), _empty_description())
    return [
        *read_script(ODD_STORIES.replace("<zero-width-space>", "\u200b")),
        *(Topic(story.title, (story,)) for story in made),
    ]


def _long_thread() -> Story:
    """150 notes by people: threads with replies, so that discussions and notes have several pages."""
    choice = random.Random("night shift")
    remarks = []
    for number in range(_LONG_THREAD_NOTES):
        hour, minute = divmod(number * 4, 60)
        line = NIGHT_SHIFT[number % len(NIGHT_SHIFT)]
        text = f"**{(22 + hour) % 24:02d}:{minute:02d}** {line}"
        remarks.append(
            Remark(choice.choice(ENGINEERS), text, reply=number % _NOTES_TO_A_THREAD == _NOTES_TO_A_THREAD - 1)
        )
    title = "Log of the overnight endurance run of the telemetry chain"
    body = "Ten hours, all channels, nobody touches anything. One note for each observation, please."
    return Story("issue", title, body, tuple(remarks), ("component::telemetry",), {"state": "opened"})


def _huge_description() -> Story:
    """About one megabyte of log in a description, which GitLab allows."""
    choice, size = random.Random("huge log"), 0
    lines: list[str] = []
    while size < _MEGABYTE:
        at = len(lines)
        value = choice.randrange(9000) / 10
        stamp = f"{at // 60 % 60:02d}:{at % 60:02d}.{choice.randrange(1000):03d}"
        line = f"{stamp} DEBUG bus channel=T{at % 480:03d} raw={value}"
        lines.append(line)
        size += len(line) + 1
    log = "\n".join(lines)
    body = f"The gateway hangs after about twelve hours. The whole debug log of the last shift:\n\n```\n{log}\n```"
    remark = Remark("priya.nair", "Next time please attach the log as a file, the page takes a minute to open. 🐢")
    return Story("issue", "Gateway hangs after twelve hours (full log inside)", body, (remark,), ("type::bug",))


def _picture() -> Story:
    """A description with an image as a data URI, as it gets there by pasting."""
    noise = random.Random("picture").randbytes(12_000)
    image = base64.b64encode(b"\x89PNG\r\n\x1a\n" + noise).decode()
    picture = f"![plume](data:image/png;base64,{image})"
    body = f"The plume leans to the left between T+2 s and T+4 s:\n\n{picture}\n\nWind was 4 m/s from the west."
    remark = Remark("ama.boateng", "That is the wind. Compare the flag on the tower in the same picture.")
    return Story("issue", "Plume leans to one side right after lift-off", body, (remark,), ("component::flight",))


def _empty_description() -> Story:
    return Story("issue", "Rename the `misc` channel group", "", (), ("priority::3",), {"state": "opened"})
