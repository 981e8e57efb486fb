"""Which filesystem a file is on, from /proc/self/mountinfo; see proc_pid_mountinfo(5)."""

import re
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "beegfs", "ceph", "davfs", "glusterfs", "gpfs", "lustre"}
)
_LOCAL_IN_USER_SPACE = frozenset({"fuse.fuse-overlayfs", "fuse.ext4", "fuse.lxcfs"})
_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """A filesystem and where it is mounted. ``kind``: such as ``ext4``, ``nfs4`` or ``fuse.sshfs``."""

    kind: str
    point: str
    source: str

    @property
    def is_remote(self) -> bool:
        """On another machine, or served by a program that may be on one: locks are not guaranteed there."""
        if self.kind == "fuse" or self.kind.startswith("fuse."):
            return self.kind not in _LOCAL_IN_USER_SPACE
        return self.kind in _NETWORK


def mount_of(path: Path, mountinfo: str) -> Mount | None:
    """The mount that ``path``, absolute and without symlinks, is on; None if the text names none.

    The deepest mount point counts, and of several mounts on one the last, which hides the others.
    """
    found: Mount | None = None
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields, tail = before.split(" "), after.split(" ")
        if not separator or len(fields) < 6 or len(tail) < 2:  # noqa: PLR2004  what the manual page promises
            continue
        mount = Mount(kind=tail[0], point=_unescaped(fields[4]), source=_unescaped(tail[1]))
        deeper = found is None or len(Path(mount.point).parts) >= len(Path(found.point).parts)
        if deeper and path.is_relative_to(mount.point):
            found = mount
    return found


def mount_of_file(path: Path, *, mounts: Path = MOUNTS) -> Mount | None:
    """The same for a file on this machine, which need not exist yet; None if the system does not say."""
    try:
        mountinfo = mounts.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    return mount_of(path.resolve(), mountinfo)


def _unescaped(text: str) -> str:
    r"""Undo escapes such as ``\040`` for a blank."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), text)
