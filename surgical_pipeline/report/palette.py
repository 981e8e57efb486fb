"""The colours of the page's charts, and in the dark. What has a meaning differs by 3:1 from what is behind."""

INK, MUTED, GRID, PAPER = "#1b1e23", "#565d68", "#dfe3e8", "#ffffff"
BLUE, TEAL, AMBER, VIOLET, PINK = "#2466b8", "#0c7f7c", "#a86000", "#7a4fc0", "#b83169"
GREEN, RED, GREY = "#1f7a4d", "#c2332f", "#6b7380"

IN_THE_DARK = {
    INK: "#eceef1",
    MUTED: "#a6aebb",
    GRID: "#30363f",
    PAPER: "#15181d",
    BLUE: "#6ea8ef",
    TEAL: "#3dbbb4",
    AMBER: "#e0a040",
    VIOLET: "#b494ee",
    PINK: "#ee7fa8",
    GREEN: "#46b881",
    RED: "#f27a74",
    GREY: "#949daa",
}

OF_STATUS = {
    "succeeded": GREEN,
    "succeeded_with_warnings": AMBER,
    "failed": RED,
    "cancelled": VIOLET,
    "running": BLUE,
    "queued": GREY,
}
OF_STAGE = {"preflight": BLUE, "ingest": TEAL, "dependents": AMBER, "docs": VIOLET, "embed": PINK}


def rules(*, dark: bool) -> str:
    """CSS that recolours charts: a drawn chart has the light colours as attributes, which rules override."""
    return "\n".join(
        f'svg [fill="{drawn}"]{{fill:{shown}}} svg [stroke="{drawn}"]{{stroke:{shown}}}'
        for drawn, shown in ((light, IN_THE_DARK[light] if dark else light) for light in IN_THE_DARK)
    )
