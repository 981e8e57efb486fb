"""What happened in a simulation, line by line: two runs of one seed give the same lines."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Trace:
    """``time``: the simulation's, in seconds. ``on_line`` is called with each line as it is added."""

    time: Callable[[], float]
    on_line: Callable[[str], None] | None = None
    _lines: list[tuple[float, str, str]] = field(default_factory=list)

    def add(self, who: str, what: str) -> None:
        self._lines.append((self.time(), who, what))
        if self.on_line is not None:
            self.on_line(_shown(*self._lines[-1]))

    @property
    def lines(self) -> list[str]:
        return [_shown(*line) for line in self._lines]

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()[:16]


def _shown(time: float, who: str, what: str) -> str:
    return f"{time:10.3f}  {who:<14} {what}"
