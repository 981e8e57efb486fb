"""Lists of groups: the same rows and parameters as those of their projects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from surgical_pipeline.sandbox.control_client import SandboxControlError
from surgical_pipeline_tests.hook_catcher import HookCatcher

if TYPE_CHECKING:
    import gitlab
    import httpx

    from surgical_pipeline.sandbox.server import RunningSandbox


def rows(api: httpx.Client, path: str, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    page = "1"
    while page:
        query: dict[str, Any] = {"per_page": 100, "page": page} | params
        answer = api.get(path, params=query).raise_for_status()
        found += answer.json()
        page = answer.headers["x-next-page"]
    return found


@pytest.mark.parametrize("kind", ["issues", "merge_requests"])
@pytest.mark.parametrize("group", ["acme", "900", "ACME"])
def test_a_group_lists_what_its_projects_list(api: httpx.Client, kind: str, group: str) -> None:
    ours = rows(api, f"/groups/{group}/{kind}", order_by="updated_at", sort="asc")
    keys = [(row["updated_at"], row["id"]) for row in ours]
    assert keys == sorted(keys)
    theirs = [row for project in (4201, 4202) for row in rows(api, f"/projects/{project}/{kind}")]
    assert sorted(ours, key=lambda row: str(row["id"])) == sorted(theirs, key=lambda row: str(row["id"]))


def test_a_group_takes_the_parameters_of_a_project(api: httpx.Client, sandbox: RunningSandbox) -> None:
    sandbox.control.update_issue(1, project="acme/launchpad", title="Clamp", updated_at="2026-11-02T10:00:00Z")
    sandbox.control.update_issue(12, title="Valve", updated_at="2026-11-02T11:00:00Z")
    found = rows(api, "/groups/acme/issues", updated_after="2026-11-02T10:00:00.000Z", sort="asc")
    assert {row["title"] for row in found} == {"Clamp", "Valve"}
    [row] = rows(api, "/groups/acme/merge_requests", **{"iids[]": 34, "with_labels_details": "true"})
    assert row["labels"][0]["color"].startswith("#")
    assert api.get("/groups/acme/issues", params={"sort": "up"}).status_code == 400


def test_a_group_has_keyset_pages_for_issues(api: httpx.Client) -> None:
    params: dict[str, Any] = {"pagination": "keyset", "order_by": "updated_at", "sort": "asc", "per_page": 50}
    answer = api.get("/groups/acme/issues", params=params)
    seen = answer.json()
    while "next" in answer.links:
        answer = api.get(answer.links["next"]["url"])
        seen += answer.json()
    assert [row["id"] for row in seen] == [
        row["id"] for row in rows(api, "/groups/acme/issues", order_by="updated_at", sort="asc")
    ]


def test_subgroups_are_in_the_lists_of_what_is_above_them(
    api: httpx.Client, gl: gitlab.Gitlab, sandbox: RunningSandbox
) -> None:
    sandbox.control.create_project("acme/avionics/sensors")
    sandbox.control.create_issue(project="acme/avionics/sensors", title="Drift")
    assert [row["title"] for row in rows(api, "/groups/acme%2Favionics/issues")] == ["Drift"]
    assert "Drift" in [row["title"] for row in rows(api, "/groups/acme/issues")]
    group = gl.groups.get("acme/avionics")
    assert group.parent_id == gl.groups.get("acme").id
    assert [issue.title for issue in group.issues.list(get_all=True)] == ["Drift"]
    assert group.mergerequests.list(get_all=True) == []
    [issue] = rows(api, "/projects/acme%2Favionics%2Fsensors/issues")
    assert issue["references"]["full"] == "acme/avionics/sensors#1"


def test_what_a_guest_may_not_see_is_in_no_list_of_a_group(api: httpx.Client, guest: httpx.Client) -> None:
    theirs = {row["id"] for row in rows(guest, "/groups/acme/issues")}
    assert theirs == {row["id"] for row in rows(api, "/groups/acme/issues") if not row["confidential"]}
    assert {row["project_id"] for row in rows(guest, "/groups/acme/merge_requests")} == {4201}


@pytest.mark.parametrize("group", ["secret", "901", "nothing", "acme%2Frocket"])
def test_a_group_without_a_readable_project_is_not_found(api: httpx.Client, group: str) -> None:
    for path in ("", "/issues", "/merge_requests"):
        answer = api.get(f"/groups/{group}{path}")
        assert (answer.status_code, answer.json()) == (404, {"message": "404 Group Not Found"})


def test_a_renamed_project_keeps_its_id_and_rows_and_redirects_from_its_former_paths(
    api: httpx.Client, sandbox: RunningSandbox
) -> None:
    before = api.get("/projects/4201/issues/12").json()
    with HookCatcher() as system:
        sandbox.control.hooks.add(system.url, kind="system")
        assert sandbox.control.rename_project("booster")["id"] == 4201
        body = system.wait_for(1)[0].body
    assert (body["event_name"], body["old_path_with_namespace"]) == ("project_rename", "acme/rocket")
    assert body["path_with_namespace"] == "acme/booster"
    after = api.get("/projects/acme%2Fbooster/issues/12").json()
    assert after == before | {
        "web_url": before["web_url"].replace("acme/rocket", "acme/booster"),
        "references": before["references"] | {"full": "acme/booster#12"},
    }
    for former in ("acme%2Frocket", "acme%2Frocket-old"):
        answer = api.get(f"/projects/{former}/issues/12")
        assert answer.status_code == 301
        assert api.get(answer.headers["location"]).json() == after
    assert {row["id"] for row in rows(api, "/groups/acme/issues")} >= {after["id"]}
    with pytest.raises(SandboxControlError, match="there is a project launchpad beside acme/booster"):
        sandbox.control.rename_project("launchpad")
    sandbox.control.reset()
    assert api.get("/projects/acme%2Frocket/issues/12").json() == before
