"""Every answer satisfies the schemas that GitLab's own specs hold it to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from surgical_pipeline_tests.unit.gitlab.corpus import payloads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx

    Validate = Callable[[str, Any], None]

ROCKET, LAUNCHPAD = "/projects/4201", "/projects/4202"


def rows(api: httpx.Client, path: str) -> Iterator[dict[str, Any]]:
    page = "1"
    while page:
        answer = api.get(path, params={"page": page, "per_page": 100}).raise_for_status()
        yield from answer.json()
        page = answer.headers["x-next-page"]


def test_every_issue_listed_is_valid(api: httpx.Client, validate: Validate) -> None:
    issues = [*rows(api, f"{ROCKET}/issues"), *rows(api, f"{LAUNCHPAD}/issues")]
    assert len(issues) == 123
    for issue in issues:
        validate("issue", issue)


def test_every_merge_request_is_valid_in_the_list_and_alone(api: httpx.Client, validate: Validate) -> None:
    listed = list(rows(api, f"{ROCKET}/merge_requests"))
    assert len(listed) == 80
    for change in listed:
        validate("merge_request", change)
        single = api.get(f"{ROCKET}/merge_requests/{change['iid']}").json()
        validate("merge_request", single)
        assert {name: single[name] for name in change} == change


def test_an_issue_alone_says_what_the_list_says(api: httpx.Client, validate: Validate) -> None:
    for issue in api.get(f"{ROCKET}/issues", params={"iids[]": [12, 13, 14]}).json():
        single = api.get(f"{ROCKET}/issues/{issue['iid']}").json()
        validate("issue", single)
        assert {name: single[name] for name in issue} == issue


def test_every_note_is_valid_alone_and_within_its_thread(api: httpx.Client, validate: Validate) -> None:
    for kind in ("issues", "merge_requests"):
        for entity in rows(api, f"{ROCKET}/{kind}"):
            base = f"{ROCKET}/{kind}/{entity['iid']}"
            notes = list(rows(api, f"{base}/notes"))
            validate("note", [_without_person(note) for note in notes])
            threads = [note for thread in rows(api, f"{base}/discussions") for note in thread["notes"]]
            assert sorted(note["id"] for note in threads) == sorted(note["id"] for note in notes)
            assert sum(not note["system"] for note in notes) == entity["user_notes_count"]


def _without_person(note: dict[str, Any]) -> dict[str, Any]:
    """The schema is from when `resolved_by` was a name; today's GitLab sends the person."""
    person = note.get("resolved_by")
    return note | {"resolved_by": person["username"]} if person else note


def test_every_commit_is_valid(api: httpx.Client, validate: Validate) -> None:
    for change in rows(api, f"{ROCKET}/merge_requests"):
        commits = list(rows(api, f"{ROCKET}/merge_requests/{change['iid']}/commits"))
        assert commits
        for commit in commits:
            validate("commit", commit)


def test_milestones_and_people_are_valid(api: httpx.Client, validate: Validate) -> None:
    for milestone in rows(api, f"{ROCKET}/milestones"):
        validate("milestone", milestone)
    validate("user", api.get("/user").json())
    for issue in rows(api, f"{ROCKET}/issues"):
        validate("user", issue["author"])


def test_approvals_and_emoji_have_the_fields_of_real_ones(
    api: httpx.Client, validate: Validate, gitlab_payloads: Path
) -> None:
    change = f"{ROCKET}/merge_requests/34"
    approvals = api.get(f"{change}/approvals").json()
    assert all(set(real) <= set(approvals) for real in payloads(gitlab_payloads, "approvals"))
    for approval in approvals["approved_by"]:
        validate("user", approval["user"])
    emoji = [award for row in rows(api, f"{ROCKET}/issues") for award in rows(api, _award_path(row))]
    assert emoji
    for award in emoji:
        assert all(set(real) <= set(award) for real in payloads(gitlab_payloads, "award_emoji"))
        validate("user", award["user"])


def _award_path(issue: dict[str, Any]) -> str:
    return f"{ROCKET}/issues/{issue['iid']}/award_emoji"
