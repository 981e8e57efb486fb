from pathlib import Path

import pytest

from surgical_pipeline.cli.actions.doctor import check_filesystem
from surgical_pipeline.settings import Settings


@pytest.mark.parametrize(
    ("kind", "warned"), [("nfs4", True), ("fuse.sshfs", True), ("cifs", True), ("ext4", False)]
)
def test_doctor_warns_of_a_ledger_on_a_network_filesystem_and_of_no_other(
    kind: str, warned: bool, tmp_path: Path
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:9 / {tmp_path.resolve()} rw - {kind} nas:/x rw\n")
    settings = Settings(environment={"SURGICAL_LEDGER": str(tmp_path / "ledger.duckdb")})
    findings = list(check_filesystem(settings, mounts=mounts))
    assert [(one.check, one.ok) for one in findings] == [("filesystem", True)] * warned
    for one in findings:
        assert one.found == f"the ledger lies on {tmp_path.resolve()}, which is {kind} (nas:/x)"
        assert "Set SURGICAL_LEDGER to a path on a local disk" in one.what_to_do


def test_a_ledger_that_cannot_be_is_told_elsewhere() -> None:
    assert list(check_filesystem(Settings(environment={"SURGICAL_LEDGER": "/no/such/folder/l.duckdb"}))) == []
