"""Logs of a command that runs for long: on stderr, a line each, or a JSON object each."""

import logging
from datetime import UTC, datetime

from pydantic_core import to_json

from surgical_pipeline.domain.foreign_text import on_one_line, visible, visible_json


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = f"{_moment(record)} {record.levelname.lower()} {on_one_line(record.getMessage())}"
        return f"{text}\n{visible(self.formatException(record.exc_info))}" if record.exc_info else text


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        document = {"time": _moment(record), "level": record.levelname.lower(), "message": record.getMessage()}
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return visible_json(to_json(document).decode())


def show_logs(*, as_json: bool) -> None:
    """From now on, what this program logs goes to stderr from INFO on, what libraries log from WARNING on."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines() if as_json else _Lines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("surgical_pipeline").setLevel(logging.INFO)


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
