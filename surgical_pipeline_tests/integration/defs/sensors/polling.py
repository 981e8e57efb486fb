"""Ticks of the sensor that polls, as Dagster makes them."""

import dagster as dg

from surgical_pipeline.defs.sensors.gitlab_changes import gitlab_changes
from surgical_pipeline.events.poll_cursor import MAX_CHARACTERS


class Ticks:
    """One evaluation after the other, as Dagster makes them: each gets the cursor of the one before."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None
        self.requests: list[dg.RunRequest] = []

    def tick(self) -> list[str]:
        """The scopes that it asks for."""
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor) as context:
            result = gitlab_changes(context)
        if isinstance(result, dg.SkipReason):
            self.said, self.requests = result.skip_message or "", []
            return []
        assert isinstance(result, dg.SensorResult)
        assert result.cursor is not None
        assert len(result.cursor) <= MAX_CHARACTERS
        self.cursor = result.cursor
        self.said = (result.skip_reason.skip_message or "") if result.skip_reason else ""
        self.requests = list(result.run_requests or [])
        return [request.tags["surgical/scope"] for request in self.requests]
