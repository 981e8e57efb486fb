import json
import logging
from collections.abc import Iterator

import pytest

from surgical_pipeline.cli.logs import show_logs


@pytest.fixture(autouse=True)
def logging_afterwards_as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("surgical_pipeline")
    handlers, level, own_level = root.handlers[:], root.level, ours.level
    factory = logging.getLogRecordFactory()
    logging.setLogRecordFactory(logging.LogRecord)  # a command that another test called here may have set its own
    yield
    logging.setLogRecordFactory(factory)
    root.handlers[:], root.level = handlers, level
    ours.setLevel(own_level)


def test_each_record_is_one_line_with_its_time_and_level(capsys: pytest.CaptureFixture[str]) -> None:
    show_logs(as_json=False)
    logging.getLogger("surgical_pipeline.webhook").info("accepted\n2026 fake line \x1b[31m")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(r"Z info accepted 2026 fake line \x1b[31m")


def test_each_record_is_one_json_object_if_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    show_logs(as_json=True)
    logging.getLogger("surgical_pipeline.webhook").warning("refused: %s", "a\nb \u202e")
    (line,) = capsys.readouterr().err.splitlines()
    assert "\u202e" not in line
    document = json.loads(line)
    assert (document["level"], document["message"]) == ("warning", "refused: a\nb \u202e")


def test_libraries_are_heard_only_when_they_warn(capsys: pytest.CaptureFixture[str]) -> None:
    show_logs(as_json=False)
    logging.getLogger("httpx").info("a request")
    logging.getLogger("asyncio").warning("a warning")
    assert [line.rpartition(" ")[2] for line in capsys.readouterr().err.splitlines()] == ["warning"]


def test_a_traceback_is_in_its_record(capsys: pytest.CaptureFixture[str]) -> None:
    show_logs(as_json=True)
    try:
        int("a defect")
    except ValueError:
        logging.getLogger("surgical_pipeline").exception("it failed")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError: invalid literal" in json.loads(line)["traceback"]
