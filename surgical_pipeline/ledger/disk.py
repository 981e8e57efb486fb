"""What files take on the disk."""

import os
from collections.abc import Iterator
from pathlib import Path

_BLOCK = 512
"""The unit of ``st_blocks``, whatever the filesystem's own blocks are."""


def allocated(path: Path) -> int:
    """Bytes that the disk has given to a file, or to a folder and all that is in it; 0 if it is gone.

    More than the length of small files: most filesystems give them 4 KB at least. Links are not followed.
    """
    try:
        size = path.lstat().st_blocks * _BLOCK
    except OSError:
        return 0
    return size + sum(allocated(one) for one in _inside(path))


def count_files(path: Path) -> int:
    """1 for a file, and how many are in a folder at any depth."""
    if not path.is_dir() or path.is_symlink():
        return int(path.exists() or path.is_symlink())
    return sum(count_files(one) for one in _inside(path))


def _inside(path: Path) -> Iterator[Path]:
    if path.is_symlink():
        return
    try:
        with os.scandir(path) as entries:
            yield from [Path(entry.path) for entry in entries]
    except OSError:
        return
