from dataclasses import replace

from surgical_pipeline.ledger.backlog import count_backlog, find_project
from surgical_pipeline.ledger.belonging import claim, load_belonging, rebase
from surgical_pipeline.ledger.content import upsert_entities, upsert_project
from surgical_pipeline.ledger.documents import EntityDocuments, load_sources, write_documents
from surgical_pipeline.ledger.invariants import check
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline_tests.integration.ledger.examples import PROJECT, at, document, entity, issue

HERE, THERE = "https://gitlab.test", "https://moved.test/git"
ANEW = replace(PROJECT, project_id=8)


def test_the_first_project_that_tells_its_gitlab_decides_until_a_person_does(ledger: Ledger) -> None:
    with ledger.write("fill") as tx:
        assert claim(tx, "run-1", PROJECT) is None
        assert load_belonging(tx).gitlab_url is None
        assert claim(tx, "run-2", replace(PROJECT, gitlab_url=HERE)) is None
        assert THERE in (claim(tx, "run-3", replace(PROJECT, gitlab_url=THERE)) or "")
        assert load_belonging(tx).gitlab_url == HERE
        assert rebase(tx, THERE) == HERE
        assert claim(tx, "run-3", replace(PROJECT, gitlab_url=THERE)) is None
        assert HERE in (claim(tx, "run-4", replace(PROJECT, gitlab_url=HERE)) or "")


def test_a_ledger_that_belongs_to_no_gitlab_yet_can_be_given_one(ledger: Ledger) -> None:
    with ledger.write("fill") as tx:
        assert rebase(tx, HERE) is None
        assert load_belonging(tx).gitlab_url == HERE


def test_the_time_of_a_projects_creation_is_kept_as_first_told(ledger: Ledger) -> None:
    with ledger.write("fill") as tx:
        for created_at in (None, at(1), at(2), None):
            upsert_project(tx, "run-1", replace(PROJECT, created_at=created_at), at(0))
        upsert_project(tx, "run-1", replace(ANEW, created_at=at(3)), at(0))
        assert load_belonging(tx).created_at == {7: at(1), 8: at(3)}
        assert load_belonging(tx, 7).created_at == {7: at(1)}


def test_of_projects_with_one_path_the_one_fetched_last_is_current_in_whatever_order(ledger: Ledger) -> None:
    with ledger.write("fill") as tx:
        assert upsert_project(tx, "run-1", PROJECT, at(0)) == {}
        assert upsert_project(tx, "run-2", replace(ANEW, path="Acme/Rocket"), at(10)) == {7: 8}
        assert upsert_project(tx, "run-3", PROJECT, at(5)) == {}
        assert find_project(tx, "acme/rocket") == 7  # the only one of that spelling
        assert upsert_project(tx, "run-4", ANEW, at(20)) == {}
        assert find_project(tx, "acme/rocket") == 8


def test_a_project_that_only_gave_its_path_away_is_current_again_under_its_new_one(ledger: Ledger) -> None:
    with ledger.write("fill") as tx:
        upsert_project(tx, "run-1", PROJECT, at(0))
        assert upsert_project(tx, "run-2", ANEW, at(10)) == {7: 8}
        assert upsert_project(tx, "run-3", replace(PROJECT, path="acme/moved"), at(20)) == {}
        assert check(tx).superseded_projects == ()


def test_a_project_stored_with_a_clock_that_ran_ahead_is_superseded_all_the_same(ledger: Ledger) -> None:
    with ledger.write("fill") as tx:
        upsert_project(tx, "run-1", PROJECT, at(90_000))
        assert upsert_project(tx, "run-2", ANEW, at(10), present=lambda: at(11)) == {7: 8}


def test_what_is_superseded_is_named_by_the_check_kept_and_not_embedded(ledger: Ledger) -> None:
    with ledger.write("fill") as tx:
        upsert_project(tx, "run-1", PROJECT, at(0))
        upsert_entities(tx, "run-1", [entity(issue(1))])
        (source,) = load_sources(tx, 7, [issue(1)])
        write_documents(tx, "run-1", 7, [EntityDocuments(issue(1), source.version, (document("doc", issue(1)),))])
        assert count_backlog(tx, "any", None) == 1
        upsert_project(tx, "run-2", ANEW, at(10))
        assert count_backlog(tx, "any", None) == 0
        report = check(tx)
    assert report.ok
    (superseded,) = report.superseded_projects
    assert superseded.startswith("acme/rocket was project 7 and is project 8 now: 1 issues and merge requests")
