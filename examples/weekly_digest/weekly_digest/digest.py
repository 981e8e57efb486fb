"""The digest of some days, in Markdown. What GitLab's users wrote is escaped: it is shown, never rendered."""

from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from surgical_pipeline.dataset import Dataset
from surgical_pipeline.domain.foreign_text import in_markdown

SHOWN = 20
_COUNTED = """
    SELECT
        COUNT(*) FILTER (created_at >= $since AND created_at < $until) AS opened,
        COUNT(*) FILTER ({done} >= $since AND {done} < $until) AS done
    FROM {table}
"""
_DONE = """
    SELECT references_full, title, web_url FROM {table}
    WHERE {done} >= $since AND {done} < $until ORDER BY {done} DESC
"""
_WAITING = """
    SELECT references_full, title, merge_requests.web_url
    FROM merge_request_times JOIN merge_requests USING (project_id, iid)
    WHERE merge_requests.state = 'opened' AND first_note_at IS NULL AND opened_at < $until
    ORDER BY opened_at
"""


@dataclass(frozen=True, slots=True)
class Digest:
    markdown: str
    closed: int
    merged: int


def digest_of(dataset: Dataset, times: pd.DataFrame, *, since: datetime, until: datetime) -> Digest:
    """What happened from ``since`` to before ``until``. ``times``: of ``times_in_labels``."""
    period = {"since": since, "until": until}

    def rows(query: str, **names: str) -> pd.DataFrame:
        text = query.format(**names)
        return dataset.sql(text, **{name: value for name, value in period.items() if f"${name}" in text})

    issues = rows(_COUNTED, table="issues", done="closed_at").iloc[0]
    merge_requests = rows(_COUNTED, table="merge_requests", done="merged_at").iloc[0]
    parts = [
        f"# GitLab from {since:%d %B} to {until:%d %B %Y}",
        f"{issues['opened']} issues opened, {issues['done']} closed.",
        f"{merge_requests['opened']} merge requests opened, {merge_requests['done']} merged.",
        *_section("Closed", rows(_DONE, table="issues", done="closed_at")),
        *_section("Merged", rows(_DONE, table="merge_requests", done="merged_at")),
        *_section("Waiting for a first answer", rows(_WAITING)),
        *_slowest(times),
    ]
    return Digest("\n\n".join(parts) + "\n", int(issues["done"]), int(merge_requests["done"]))


def _section(heading: str, found: pd.DataFrame) -> list[str]:
    if found.empty:
        return []
    lines = [
        f"- {_link(row.references_full, row.web_url)} {in_markdown(str(row.title))}"
        for row in found.head(SHOWN).itertuples()
    ]
    more = [f"- and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return [f"## {heading}", "\n".join([*lines, *more])]


def _slowest(times: pd.DataFrame) -> list[str]:
    if times.empty:
        return []
    lines = [f"- {in_markdown(str(row.label))}: {row.median_days:.1f} days" for row in times.head(5).itertuples()]
    return ["## Longest in a label, median", "\n".join(lines)]


def _link(text: object, address: object) -> str:
    """A link, if the address is one that a link may have."""
    shown = in_markdown(str(text))
    wanted = str(address)
    if not wanted.startswith(("https://", "http://")) or set(wanted) & set(" <>()\\\n\t"):
        return shown
    return f"[{shown}]({wanted})"
