"""Where the prose stands: one module for each part of the product."""

from __future__ import annotations

from surgical_pipeline.sandbox.sample import (
    prose_console,
    prose_flight,
    prose_ground,
    prose_platform,
    prose_showcase,
    prose_telemetry,
)
from surgical_pipeline.sandbox.sample.script import Topic, read_script


def showcase_topics() -> list[Topic]:
    """The issues 12, 13, 14 and the merge requests 34, 35."""
    return read_script(prose_showcase.SHOWCASE)


def launchpad_topics() -> list[Topic]:
    return read_script(prose_showcase.LAUNCHPAD)


def all_topics() -> list[Topic]:
    """Every other topic, the parts of the product in turns."""
    parts = (prose_telemetry, prose_flight, prose_console, prose_ground, prose_platform)
    scripts = [read_script(part.SCRIPT) for part in parts]
    longest = max(len(script) for script in scripts)
    return [script[row] for row in range(longest) for script in scripts if row < len(script)]
