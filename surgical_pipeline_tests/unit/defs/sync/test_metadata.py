import dagster as dg

from surgical_pipeline.defs.sync.metadata import MAX_TABLE_ROWS, outcome_table
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.outcomes import EntityOutcome, EntityReport, EntityWarning
from surgical_pipeline.domain.scope import EntityType


def report(iid: int, **values: object) -> EntityReport:
    outcome = EntityOutcome(entity_type=EntityType.ISSUE, iid=iid).model_copy(update=values)
    return EntityReport.of(outcome, "acme/rocket")


def failure(message: str = "no such IID") -> Failure:
    return Failure(code=FailureCode.NOT_FOUND, message=message, stage="preflight")


WARNING = EntityWarning(stage="ingest", message="its updated_at went back")


def rows(table: str) -> list[str]:
    return table.partition("\n\n")[0].splitlines()[2:]


def test_each_entity_is_a_row_with_what_became_of_it() -> None:
    good = report(
        12, fetched=True, ingested=True, regenerated_document_ids=("a", "b"), embedded_document_ids=("a",)
    )
    assert rows(outcome_table([good])) == ["| acme/rocket#12 | written | ok | 2 | 1 |"]


def test_a_column_for_failures_is_there_if_there_are_any() -> None:
    """Dagster's page is too narrow for it and the numbers behind it."""
    good, bad = report(12, ingested=True), report(13, failure=failure())
    assert outcome_table([good]).splitlines()[0] == "| entity | row | dependents | docs | embedded |"
    assert "| failures and warnings |" in outcome_table([good, bad]).splitlines()[0]
    assert rows(outcome_table([good, bad]))[1] == "| acme/rocket#12 | written | ok |  | 0 | 0 |"


def test_every_row_has_the_columns_of_the_header() -> None:
    table = outcome_table([report(12, failure=failure()), report(13, ingested=True)])
    assert {line.count("|") for line in table.partition("\n\n")[0].splitlines()} == {7}


def test_pipes_and_newlines_of_a_message_do_not_break_the_table() -> None:
    table = outcome_table([report(12, failure=failure("a|b\nc|d"))])
    assert rows(table) == [r"| acme/rocket#12 | not fetched | - | NOT_FOUND: a\|b c\|d | 0 | 0 |"]


def test_all_failures_of_an_entity_stand_in_its_row() -> None:
    (row,) = rows(outcome_table([report(12, failure=failure("one"), dependent_failures=(failure("two"),))]))
    assert "NOT_FOUND: one; NOT_FOUND: two" in row


def test_warnings_and_dependents_that_were_newer_already_stand_in_the_row() -> None:
    (row,) = rows(
        outcome_table([report(12, ingested=True, warnings=(WARNING,), dependents_stale_skipped=("links",))])
    )
    assert r"| 1 already newer | warning: its updated\_at went back |" in row


def test_entities_with_failures_or_warnings_come_first_and_keep_their_order() -> None:
    outcomes = [
        report(1, ingested=True),
        report(2, failure=failure()),
        report(3, ingested=True),
        report(4, ingested=True, dependent_failures=(failure(),)),
        report(5, ingested=True, warnings=(WARNING,)),
    ]
    named = [row.split(" | ")[0] for row in rows(outcome_table(outcomes))]
    assert named == [f"| acme/rocket#{iid}" for iid in (2, 4, 5, 1, 3)]


def test_a_long_table_is_cut_and_says_how_much_is_missing() -> None:
    outcomes = [report(iid, ingested=True) for iid in range(1, MAX_TABLE_ROWS + 6)]
    whole = rows(outcome_table(outcomes[:MAX_TABLE_ROWS]))
    cut = rows(outcome_table([*outcomes, report(9999, failure=failure())]))
    assert len(whole) == MAX_TABLE_ROWS
    assert len(cut) == MAX_TABLE_ROWS + 1
    assert "acme/rocket#9999" in cut[0]
    assert cut[-1].startswith("| and 6 more |")


def test_an_entity_links_to_gitlab_where_its_address_is_known() -> None:
    table = outcome_table([report(12, ingested=True)], "https://gitlab.example.com/sub")
    assert rows(table)[0].startswith(
        "| [acme/rocket#12](https://gitlab.example.com/sub/acme/rocket/-/issues/12) | written |"
    )


def test_a_picture_in_a_message_is_not_fetched_by_who_looks() -> None:
    (row,) = rows(outcome_table([report(12, failure=failure("![](http://example.com/seen.png)"))]))
    assert r"\!\[\](http://example.com/seen.png)" in row


def test_what_to_do_is_told_once_for_each_kind_of_failure() -> None:
    table = outcome_table([report(iid, failure=failure()) for iid in (1, 2)])
    assert table.count(FailureCode.NOT_FOUND.advice.split(",")[0]) == 1
    assert "What to do" not in outcome_table([report(12, ingested=True)])


def test_the_table_is_what_dagster_renders_as_markdown() -> None:
    assert dg.MetadataValue.md(outcome_table([])).value.startswith("| entity | row |")
