"""python-gitlab, a client that nobody here wrote, reads everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gitlab
import pytest
from gitlab.exceptions import (
    GitlabAuthenticationError,
    GitlabGetError,
    GitlabHttpError,
    GitlabListError,
)

from surgical_pipeline.sandbox.tokens import SANDBOX_PROFILE_TOKEN

if TYPE_CHECKING:
    from gitlab.v4.objects import Project, ProjectIssue, ProjectMergeRequest

    from surgical_pipeline.sandbox.server import RunningSandbox


@pytest.fixture
def project(gl: gitlab.Gitlab) -> Project:
    return gl.projects.get("acme/rocket")


@pytest.fixture
def issue(project: Project) -> ProjectIssue:
    return project.issues.get(12)


@pytest.fixture
def merge_request(project: Project) -> ProjectMergeRequest:
    return project.mergerequests.get(34)


def test_the_client_authenticates_and_learns_who_it_is(gl: gitlab.Gitlab) -> None:
    gl.auth()
    assert gl.user is not None
    assert gl.user.username == "orbit-sync"
    assert gl.version()[0].startswith("18.")
    assert gl.personal_access_tokens.get("self").scopes == ["read_api"]


def test_a_project_has_the_same_answer_by_path_and_by_id(gl: gitlab.Gitlab, project: Project) -> None:
    assert project.id == 4201
    assert gl.projects.get(4201).attributes == project.attributes


def test_a_project_in_another_group_that_nobody_may_read_is_not_found(gl: gitlab.Gitlab) -> None:
    with pytest.raises(GitlabGetError, match="404 Project Not Found") as caught:
        gl.projects.get("secret/vault")
    assert caught.value.response_code == 404


def test_the_former_path_of_a_project_leads_to_it(gl: gitlab.Gitlab) -> None:
    assert gl.projects.get("acme/rocket-old").path_with_namespace == "acme/rocket"


def test_nothing_can_be_written_through_the_api(gl: gitlab.Gitlab) -> None:
    with pytest.raises(GitlabHttpError) as caught:
        gl.http_post("/projects/4201/issues", post_data={"title": "x"})
    assert caught.value.response_code == 405


@pytest.mark.parametrize("per_page", [7, 100])
def test_offset_pages_give_every_issue_once(project: Project, per_page: int) -> None:
    iids = [issue.iid for issue in project.issues.list(iterator=True, per_page=per_page)]
    assert len(iids) == len(set(iids)) == 120


def test_offset_pages_give_every_merge_request_once(project: Project) -> None:
    iids = [change.iid for change in project.mergerequests.list(iterator=True, scope="all")]
    assert len(iids) == len(set(iids)) == 80


def test_keyset_pages_give_every_issue_once_and_in_order(project: Project) -> None:
    found = project.issues.list(iterator=True, pagination="keyset", order_by="updated_at", sort="asc", per_page=11)
    rows = [(issue.updated_at, issue.id) for issue in found]
    assert rows == sorted(rows)
    assert len(set(rows)) == 120


def test_all_pages_at_once_are_the_same_as_one_page_after_another(project: Project) -> None:
    one_by_one = [issue.iid for page in range(1, 8) for issue in project.issues.list(page=page)]
    assert [issue.iid for issue in project.issues.list(get_all=True)] == one_by_one


def test_iids_select_issues_and_merge_requests(project: Project) -> None:
    assert {issue.iid for issue in project.issues.list(iids=[12, 13, 9999], get_all=True)} == {12, 13}
    assert {change.iid for change in project.mergerequests.list(iids=[34, 35], get_all=True)} == {34, 35}


def test_the_threads_of_an_issue_are_by_several_people(issue: ProjectIssue) -> None:
    notes = [note for thread in issue.discussions.list(get_all=True) for note in thread.attributes["notes"]]
    people = {note["author"]["username"] for note in notes if not note["system"]}
    assert len(people) >= 3
    assert {note.id for note in issue.notes.list(iterator=True)} == {note["id"] for note in notes}


def test_a_thread_and_a_note_can_be_had_singly(issue: ProjectIssue) -> None:
    thread = issue.discussions.list(get_all=True)[1]
    assert issue.discussions.get(thread.id).attributes["notes"] == thread.attributes["notes"]
    note = issue.notes.list(get_all=True)[0]
    assert issue.notes.get(note.id).body == note.body


def test_notes_come_newest_first_unless_asked_otherwise(issue: ProjectIssue) -> None:
    newest_first = [note.created_at for note in issue.notes.list(get_all=True)]
    assert newest_first == sorted(newest_first, reverse=True)
    oldest_first = [note.created_at for note in issue.notes.list(get_all=True, sort="asc")]
    assert oldest_first == newest_first[::-1]


def test_the_long_thread_has_several_pages_of_discussions_and_notes(project: Project) -> None:
    [log] = project.issues.list(search="overnight endurance run", get_all=True)
    notes = list(log.notes.list(iterator=True, per_page=100))
    threads = list(log.discussions.list(iterator=True, per_page=100))
    assert len(notes) == 151
    assert len(threads) > 100
    assert sum(len(thread.attributes["notes"]) for thread in threads) == 151


def test_events_of_an_issue_say_who_did_what(issue: ProjectIssue) -> None:
    added = {event.label["name"] for event in issue.resourcelabelevents.list(get_all=True)}
    assert added == set(issue.labels)
    assert [event.state for event in issue.resourcestateevents.list(get_all=True)] == ["closed", "reopened"]
    [milestone] = issue.resourcemilestoneevents.list(get_all=True)
    assert milestone.milestone["title"] == issue.milestone["title"]


def test_events_of_a_merge_request_say_who_did_what(merge_request: ProjectMergeRequest) -> None:
    assert [event.action for event in merge_request.resourcelabelevents.list(get_all=True)]
    assert [event.state for event in merge_request.resourcestateevents.list(get_all=True)] == ["merged"]
    assert len(merge_request.resourcemilestoneevents.list(get_all=True)) == 1


def test_links_are_seen_from_both_sides(project: Project, issue: ProjectIssue) -> None:
    seen = {link.iid: link.link_type for link in issue.links.list(get_all=True)}
    [third] = [iid for iid, link_type in seen.items() if link_type == "blocks"]
    back = {link.iid: link.link_type for link in project.issues.get(third).links.list(get_all=True)}
    assert back[12] == "is_blocked_by"


def test_an_issue_and_the_merge_request_that_closes_it_name_each_other(
    issue: ProjectIssue, merge_request: ProjectMergeRequest
) -> None:
    assert [change["iid"] for change in issue.closed_by()] == [34]
    assert 34 in [change["iid"] for change in issue.related_merge_requests()]
    assert [closed.iid for closed in merge_request.closes_issues()] == [12]


def test_commits_and_diffs_of_a_merge_request_fit_its_head(
    gl: gitlab.Gitlab, merge_request: ProjectMergeRequest
) -> None:
    commits = list(merge_request.commits())
    assert commits[0].id == merge_request.sha == merge_request.diff_refs["head_sha"]
    assert commits[-1].parent_ids == [merge_request.diff_refs["base_sha"]]
    diffs = gl.http_list("/projects/4201/merge_requests/34/diffs", get_all=True)
    assert [diff["new_path"] for diff in diffs] == [
        "src/gateway/lanes.rs",
        "src/gateway/queue.rs",
        "tests/lanes_test.rs",
    ]
    assert str(len(list(diffs))) == merge_request.changes_count


def test_review_threads_hang_on_lines_and_are_resolved_or_not(merge_request: ProjectMergeRequest) -> None:
    notes = [n for t in merge_request.discussions.list(get_all=True) for n in t.attributes["notes"]]
    review = [note for note in notes if note["type"] == "DiffNote"]
    assert {note["resolved"] for note in review} == {True, False}
    assert review[0]["position"]["new_path"] == "src/gateway/lanes.rs"
    assert merge_request.blocking_discussions_resolved is False


def test_approvals_and_emoji_are_there(project: Project, merge_request: ProjectMergeRequest) -> None:
    assert merge_request.approvals.get().approved is True
    emoji = [award for change in project.mergerequests.list(get_all=True) for award in change.awardemojis.list()]
    assert len(emoji) > 10


def test_emoji_and_approvals_come_and_go(
    project: Project, merge_request: ProjectMergeRequest, sandbox: RunningSandbox
) -> None:
    award = sandbox.control.add_award(12, "rocket")
    issue = project.issues.get(12)
    shown = next(one for one in issue.awardemojis.list(get_all=True) if one.get_id() == award["id"])
    assert (shown.name, shown.awardable_type, shown.awardable_id) == ("rocket", "Issue", issue.id)
    sandbox.control.delete_award(12, award["id"])
    assert award["id"] not in {one.get_id() for one in issue.awardemojis.list(get_all=True)}
    sandbox.control.set_approvers(merge_request.iid, "mira.okafor")
    assert [one["user"]["username"] for one in merge_request.approvals.get().approved_by] == ["mira.okafor"]
    sandbox.control.set_approvers(merge_request.iid)
    assert merge_request.approvals.get().approved is False


def test_labels_and_milestones_of_the_project_are_listed(project: Project) -> None:
    names = [label.name for label in project.labels.list(get_all=True)]
    assert names == sorted(names)
    assert "launch-blocker" in names
    assert len(project.milestones.list(get_all=True)) == 4


def test_a_wrong_token_is_an_authentication_error(sandbox: RunningSandbox) -> None:
    with (
        gitlab.Gitlab(sandbox.url, private_token="wrong") as client,
        pytest.raises(GitlabAuthenticationError) as caught,
    ):
        client.projects.get("acme/rocket")
    assert caught.value.response_code == 401


def test_a_token_without_the_scope_is_forbidden(sandbox: RunningSandbox) -> None:
    with gitlab.Gitlab(sandbox.url, private_token=SANDBOX_PROFILE_TOKEN, keep_base_url=True) as client:
        with pytest.raises(GitlabGetError) as caught:
            client.projects.get("acme/rocket")
        assert caught.value.response_code == 403
        assert b"insufficient_scope" in (caught.value.response_body or b"")
        client.auth()


def test_a_guest_may_not_list_merge_requests_of_a_private_project(sandbox: RunningSandbox) -> None:
    with gitlab.Gitlab(sandbox.url, private_token=sandbox.guest_token) as client:
        launchpad = client.projects.get("acme/launchpad")
        assert len(launchpad.issues.list(get_all=True)) == 3
        with pytest.raises(GitlabListError, match="403 Forbidden"):
            launchpad.mergerequests.list(get_all=True)


def test_an_oauth_token_in_the_authorization_header_works(sandbox: RunningSandbox) -> None:
    with gitlab.Gitlab(sandbox.url, oauth_token=sandbox.token) as client:
        assert client.projects.get("acme/rocket").id == 4201


def test_what_never_existed_is_not_found(project: Project) -> None:
    with pytest.raises(GitlabGetError, match="404 Not found"):
        project.issues.get(9999)
    with pytest.raises(GitlabGetError, match="404 Not found"):
        project.mergerequests.get(21)


def test_the_client_waits_as_told_when_it_is_throttled(gl: gitlab.Gitlab, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("*/issues/12", status=429, times=1, headers={"Retry-After": "0"})
    assert gl.projects.get(4201, lazy=True).issues.get(12).iid == 12
    assert [entry.status for entry in sandbox.control.requests().requests] == [429, 200]
