"""The page as a file: readable by its owner only, and there whole or not at all."""

import contextlib
import os
import tempfile
from pathlib import Path

_BEGINNING = b"<!doctype html>"


class PageRefusedError(Exception):
    """The page cannot be written there; the sentence says why, and what is there is untouched."""


def write_page(path: Path, page: str) -> int:
    """Write it with mode 0600, in the place of an earlier page; returns its size in bytes.

    Raises:
        PageRefusedError: something is there that is no page, its folder does not exist, or the disk is full.
    """
    wanted = path.expanduser().absolute()
    _check(wanted)
    content = page.encode()
    try:
        _replace(wanted, content)
    except OSError as error:
        raise PageRefusedError(f"{wanted} could not be written: {error.strerror}") from error
    return len(content)


def _check(path: Path) -> None:
    """A mistyped path must not replace the ledger, or a device."""
    if path.is_dir():
        raise PageRefusedError(f"{path} is a folder: name a file in it")
    if not path.parent.is_dir():
        raise PageRefusedError(f"the folder {path.parent} does not exist: create it first")
    try:
        if not path.exists():
            return
        if path.is_file():
            with path.open("rb") as file:
                beginning = file.read(len(_BEGINNING))
            if not beginning or beginning.lower() == _BEGINNING:
                return
    except OSError as error:
        raise PageRefusedError(f"{path} cannot be read: {error.strerror}") from error
    raise PageRefusedError(f"{path} is there and no HTML page: name another file")


def _replace(path: Path, content: bytes) -> None:
    """A temporary file in the same folder, which the system makes with mode 0600, then a rename."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
