from pathlib import Path

import pytest

from surgical_pipeline.ledger.mounts import Mount, mount_of, mount_of_file

MOUNTINFO = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:40 / /mnt/nas rw,relatime shared:2 master:1 - nfs4 nas.example:/export rw,vers=4.2
24 23 0:41 / /mnt/nas/fast rw - xfs /dev/vdb rw
25 22 0:42 / /mnt/win\040share rw - cifs //server/my\040files rw
26 22 0:43 / /home/ada/remote rw - fuse.sshfs ada@host:/ rw
27 22 0:44 / /c rw - 9p drvfs rw
28 22 0:45 / /twice rw - ext4 /dev/vdc rw
29 22 0:46 / /twice rw - nfs old.example:/ rw
30 22 0:47 / /container rw - fuse.fuse-overlayfs fuse-overlayfs rw
31 22 0:48 / /ntfs rw - fuseblk /dev/sdb1 rw
this line says nothing
"""


@pytest.mark.parametrize(
    ("path", "kind", "remote"),
    [
        ("/srv/ledger.duckdb", "ext4", False),
        ("/mnt/nas/ledger.duckdb", "nfs4", True),
        ("/mnt/nasty/ledger.duckdb", "ext4", False),
        ("/mnt/nas/fast/deep/er/ledger.duckdb", "xfs", False),
        ("/mnt/win share/ledger.duckdb", "cifs", True),
        ("/home/ada/remote/ledger.duckdb", "fuse.sshfs", True),
        ("/c/ledger.duckdb", "9p", True),
        ("/twice/ledger.duckdb", "nfs", True),
        ("/container/ledger.duckdb", "fuse.fuse-overlayfs", False),
        ("/ntfs/ledger.duckdb", "fuseblk", False),
    ],
)
def test_the_deepest_mount_that_holds_the_path_counts(path: str, kind: str, remote: bool) -> None:
    mount = mount_of(Path(path), MOUNTINFO)
    assert mount is not None
    assert (mount.kind, mount.is_remote) == (kind, remote)


def test_blanks_of_names_are_read_as_they_are() -> None:
    share = mount_of(Path("/mnt/win share/x"), MOUNTINFO)
    assert share == Mount("cifs", "/mnt/win share", "//server/my files")


def test_a_text_that_tells_nothing_gives_nothing() -> None:
    assert mount_of(Path("/srv"), "") is None
    assert mount_of(Path("/srv"), "22 1 254:0 / / rw - ext4") is None


def test_a_link_counts_for_where_it_leads(tmp_path: Path) -> None:
    here = mount_of_file(tmp_path / "ledger.duckdb")
    (tmp_path / "link").symlink_to("/proc/self")
    there = mount_of_file(tmp_path / "link" / "ledger.duckdb")
    assert here is not None
    assert there is not None
    assert there.kind == "proc" != here.kind
