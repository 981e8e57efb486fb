"""How long issues and merge requests are in each label: the figures, and a picture of them."""

import base64
import io
from datetime import datetime

import altair as alt
import pandas as pd

SHOWN = 15


def times_in_labels(spans: pd.DataFrame, now: datetime) -> pd.DataFrame:
    """A row for each label: ``label``, ``spans``, ``median_days``, ``longest_days``; the longest median first.

    ``spans``: the table ``label_spans``. Those that last are counted until ``now``; those of which nobody
    knows when they began are left out.
    """
    known = spans[spans["from_at"].notna()]
    lasted = known["to_at"].fillna(pd.Timestamp(now)) - known["from_at"]
    days = pd.DataFrame({"label": known["label_name"], "days": lasted.dt.total_seconds() / 86_400})
    figures = days.groupby("label")["days"].agg(["count", "median", "max"]).reset_index()
    figures.columns = pd.Index(["label", "spans", "median_days", "longest_days"])
    return figures.sort_values(["median_days", "label"], ascending=[False, True], ignore_index=True)


def picture(times: pd.DataFrame) -> str:
    """The first labels as bars, as Markdown with the picture in it: Dagster's pages fetch nothing for it."""
    rows = {"values": times.head(SHOWN).to_dict("records")}
    days = alt.X("median_days:Q", title="days, median")
    bars = alt.Chart(rows).mark_bar().encode(x=days, y=alt.Y("label:N", sort=None, title=None))
    drawn = io.BytesIO()
    bars.properties(width=420).save(drawn, format="png")
    return f"![median days in each label](data:image/png;base64,{base64.b64encode(drawn.getvalue()).decode()})"
