"""The page as a file: private, whole or not at all, and never in the place of something else."""

import os
import stat
from pathlib import Path

import pytest

from surgical_pipeline.report.writing import PageRefusedError, write_page

PAGE = "<!doctype html>\n<p>é</p>"


def test_a_page_is_for_its_owner_only_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    os.umask(os.umask(0))
    path = tmp_path / "page.html"
    assert write_page(path, PAGE) == len(PAGE.encode())
    assert path.read_text(encoding="utf-8") == PAGE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_it_takes_the_place_of_an_earlier_page_at_once(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_page(path, PAGE)
    path.chmod(0o644)
    with path.open(encoding="utf-8") as open_before:
        write_page(path, "<!DOCTYPE HTML>new")
        assert open_before.read() == PAGE
    assert path.read_text(encoding="utf-8") == "<!DOCTYPE HTML>new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"DUCK and more", b"x"])
def test_a_file_that_is_no_page_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.duckdb"
    path.write_bytes(content)
    with pytest.raises(PageRefusedError, match="is there and no HTML page"):
        write_page(path, PAGE)
    assert path.read_bytes() == content


def test_an_empty_file_is_written(tmp_path: Path) -> None:
    (tmp_path / "page.html").touch()
    write_page(tmp_path / "page.html", PAGE)
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == PAGE


def test_a_device_is_no_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(PageRefusedError, match="is there and no HTML page"):
        write_page(pipe, PAGE)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_folder_or_a_missing_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PageRefusedError, match="is a folder"):
        write_page(tmp_path, PAGE)
    with pytest.raises(PageRefusedError, match="does not exist"):
        write_page(tmp_path / "nowhere" / "page.html", PAGE)


def test_what_the_system_refuses_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(PageRefusedError, match="could not be written: File name too long"):
        write_page(tmp_path / f"{'x' * 250}.html", PAGE)
    assert list(tmp_path.iterdir()) == []
