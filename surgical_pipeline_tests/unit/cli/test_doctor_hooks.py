from datetime import UTC, datetime
from pathlib import Path

import pytest

from surgical_pipeline.cli.actions.doctor import check_receiver
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.events.event import GitLabEvent
from surgical_pipeline.settings import Settings
from surgical_pipeline.webhook.spool import Spool

LONG_AGO, AHEAD = datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def settings(folder: Path) -> Settings:
    return Settings(environment={"SURGICAL_LEDGER": str(folder / "ledger.duckdb")})


def counted(folder: Path, *refused: str, accepted_at: datetime) -> None:
    spool = Spool(settings(folder).spool_path)
    spool.open()
    issue = EntityKey(EntityType.ISSUE, 7)
    spool.put(GitLabEvent("a", "issue", 5, None, issue, received_at=accepted_at)).result()
    for name in refused:
        spool.count(name)
    spool.close()


def test_where_there_is_no_receiver_nothing_is_said(tmp_path: Path) -> None:
    assert list(check_receiver(settings(tmp_path))) == []
    assert list(check_receiver(settings(tmp_path / "missing"))) == []


@pytest.mark.parametrize(("refused", "word"), [("refused_age", "clock"), ("refused_secret", "signing token")])
def test_what_the_receiver_refused_last_is_a_warning_with_advice(tmp_path: Path, refused: str, word: str) -> None:
    counted(tmp_path, refused, refused, accepted_at=LONG_AGO)
    (finding,) = check_receiver(settings(tmp_path))
    assert finding.ok
    assert "1 events taken, the last at 2026-01-01 12:00 UTC" in finding.found
    assert "2 " in finding.found
    assert word in finding.what_to_do


def test_what_was_refused_before_events_were_taken_again_is_no_warning(tmp_path: Path) -> None:
    counted(tmp_path, "refused_age", "refused_secret", accepted_at=AHEAD)
    (finding,) = check_receiver(settings(tmp_path))
    assert finding.what_to_do == ""
