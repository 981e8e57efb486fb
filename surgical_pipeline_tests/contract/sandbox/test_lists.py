"""Lists over plain HTTP: pages, filters, orders, permissions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from surgical_pipeline.sandbox.sample.build import build_sample
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.contract.sandbox.conftest import client_for

if TYPE_CHECKING:
    import httpx

ISSUES = "/projects/acme%2Frocket/issues"
CHANGES = "/projects/4201/merge_requests"


def iids(answer: httpx.Response) -> list[int]:
    return [row["iid"] for row in answer.raise_for_status().json()]


@pytest.mark.parametrize("query", ["", "?iids[]=", "?iids=", "?iids[]=&iids[]="])
def test_an_empty_iids_gives_everything(api: httpx.Client, query: str) -> None:
    assert api.get(f"{ISSUES}{query}").headers["x-total"] == "120"
    assert api.get(f"{CHANGES}{query}").headers["x-total"] == "80"


@pytest.mark.parametrize(
    "query", ["iids[]=12&iids[]=14", "iids=12,14", "iids[]=12,14", "iids[]=14&iids[]=12&iids[]=12"]
)
def test_iids_may_be_written_in_every_way_that_gitlab_takes(api: httpx.Client, query: str) -> None:
    assert sorted(iids(api.get(f"{ISSUES}?{query}"))) == [12, 14]


def test_pages_are_described_in_headers_and_links(api: httpx.Client) -> None:
    answer = api.get(ISSUES, params={"per_page": 50, "page": 2, "state": "all"})
    headers = answer.headers
    assert len(answer.json()) == 50
    assert (headers["x-page"], headers["x-per-page"], headers["x-prev-page"], headers["x-next-page"]) == (
        "2",
        "50",
        "1",
        "3",
    )
    assert (headers["x-total"], headers["x-total-pages"]) == ("120", "3")
    assert set(answer.links) == {"first", "prev", "next", "last"}
    following = api.get(answer.links["next"]["url"])
    assert len(following.json()) == 20
    assert "next" not in following.links
    assert following.headers["x-next-page"] == ""
    assert iids(api.get(following.links["prev"]["url"])) == iids(answer)


def test_twenty_rows_unless_told_and_a_hundred_at_most(api: httpx.Client) -> None:
    assert len(api.get(ISSUES).json()) == 20
    answer = api.get(ISSUES, params={"per_page": 500})
    assert len(answer.json()) == 100
    assert answer.headers["x-per-page"] == "100"


def test_a_page_past_the_end_is_empty(api: httpx.Client) -> None:
    assert api.get(ISSUES, params={"page": 99}).json() == []


def test_updated_after_and_before_include_the_very_instant(api: httpx.Client) -> None:
    everything = api.get(CHANGES, params={"per_page": 100, "order_by": "updated_at", "sort": "asc"}).json()
    middle = everything[40]
    after = api.get(CHANGES, params={"per_page": 100, "updated_after": middle["updated_at"]})
    before = api.get(CHANGES, params={"per_page": 100, "updated_before": middle["updated_at"]})
    assert len(after.json()) == 40
    assert len(before.json()) == 41
    assert middle["iid"] in iids(after)
    assert middle["iid"] in iids(before)


def test_an_instant_a_moment_later_leaves_the_row_out(api: httpx.Client) -> None:
    issue = api.get(f"{ISSUES}/12").json()
    later = issue["updated_at"].replace("Z", "001Z")
    assert 12 in iids(api.get(ISSUES, params={"iids[]": 12, "updated_after": issue["updated_at"]}))
    assert iids(api.get(ISSUES, params={"iids[]": 12, "updated_after": later})) == []


@pytest.mark.parametrize("state", ["opened", "closed", "merged"])
def test_state_selects_merge_requests(api: httpx.Client, state: str) -> None:
    states = {row["state"] for row in api.get(CHANGES, params={"state": state, "scope": "all"}).json()}
    assert states == {state}


@pytest.mark.parametrize("order_by", ["created_at", "updated_at", "title"])
@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_rows_come_in_the_order_asked_for(api: httpx.Client, order_by: str, sort: str) -> None:
    found = api.get(CHANGES, params={"order_by": order_by, "sort": sort, "per_page": 100}).json()
    keys = [(row[order_by], row["id"]) for row in found]
    assert keys == sorted(keys, reverse=sort == "desc")


def test_newest_created_come_first_by_default(api: httpx.Client) -> None:
    created = [row["created_at"] for row in api.get(ISSUES, params={"per_page": 100}).json()]
    assert created == sorted(created, reverse=True)


def test_labels_are_names_or_details(api: httpx.Client) -> None:
    [plain] = api.get(CHANGES, params={"iids[]": 34}).json()
    [detailed] = api.get(CHANGES, params={"iids[]": 34, "with_labels_details": "true"}).json()
    assert plain["labels"] == [label["name"] for label in detailed["labels"]]
    assert detailed["labels"][0]["color"].startswith("#")
    assert {**detailed, "labels": plain["labels"]} == plain


def test_other_filters_narrow_the_list(api: httpx.Client) -> None:
    blockers = api.get(ISSUES, params={"labels": "launch-blocker,priority::1", "per_page": 100}).json()
    assert blockers
    assert all({"launch-blocker", "priority::1"} <= set(row["labels"]) for row in blockers)
    assert iids(api.get(ISSUES, params={"search": "fuel valve telemetry"})) == [12]
    mine = api.get(ISSUES, params={"author_username": "mira.okafor", "per_page": 100}).json()
    assert {row["author"]["username"] for row in mine} == {"mira.okafor"}
    assert api.get(ISSUES, params={"scope": "created_by_me"}).json() == []


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("iids[]=twelve", "iids is invalid"),
        ("page=two", "page is invalid"),
        ("updated_after=yesterday", "updated_after is invalid"),
        ("state=broken", "state does not have a valid value"),
        ("order_by=size", "order_by does not have a valid value"),
        ("sort=up", "sort does not have a valid value"),
        ("scope=everything", "scope does not have a valid value"),
        ("with_labels_details=maybe", "with_labels_details is invalid"),
        ("per_page=0", "per_page has a value not allowed"),
        ("pagination=keyset&cursor=abc", "cursor is invalid"),
    ],
)
def test_parameters_that_cannot_be_read_are_refused(api: httpx.Client, query: str, error: str) -> None:
    answer = api.get(f"{ISSUES}?{query}")
    assert (answer.status_code, answer.json()) == (400, {"error": error})


def test_keyset_pages_have_a_link_to_the_next_and_no_totals(api: httpx.Client) -> None:
    answer = api.get(ISSUES, params={"pagination": "keyset", "per_page": 100, "sort": "asc"})
    assert set(answer.links) == {"next"}
    assert "x-total" not in answer.headers
    rest = api.get(answer.links["next"]["url"])
    assert len(rest.json()) == 20
    assert rest.links == {}


def test_keyset_pages_do_not_skip_rows_when_one_moves_to_the_front(
    api: httpx.Client, sandbox: RunningSandbox
) -> None:
    params: dict[str, Any] = {"order_by": "updated_at", "sort": "asc", "per_page": 40}
    first = api.get(ISSUES, params=params | {"pagination": "keyset"})
    second_by_offset = iids(api.get(ISSUES, params=params | {"page": 2}))
    sandbox.control.update_issue(iids(first)[0], title="moved to the end")
    assert iids(api.get(first.links["next"]["url"])) == second_by_offset
    assert iids(api.get(ISSUES, params=params | {"page": 2})) != second_by_offset


def test_merge_requests_ignore_the_wish_for_keyset_pages(api: httpx.Client) -> None:
    answer = api.get(CHANGES, params={"pagination": "keyset"})
    assert answer.headers["x-total"] == "80"


def test_permission_takes_rows_out_of_their_page_so_a_short_page_is_not_the_last(
    api: httpx.Client, guest: httpx.Client
) -> None:
    params: dict[str, Any] = {"per_page": 20, "sort": "asc"}
    seen: list[int] = []
    sizes = []
    for page in range(1, 7):
        answer = guest.get(ISSUES, params=params | {"page": page})
        sizes.append(len(answer.json()))
        seen += iids(answer)
        assert answer.headers["x-total"] == "120"
    hidden = {row["iid"] for row in _every(api) if row["confidential"]}
    assert len(hidden) == 2
    assert sizes.count(20) < 6
    assert sizes[-1] == 20
    assert set(seen) == {row["iid"] for row in _every(api)} - hidden


def test_a_confidential_issue_is_not_found_and_not_linked_for_a_guest(
    api: httpx.Client, guest: httpx.Client
) -> None:
    [hidden, *_] = [row["iid"] for row in _every(api) if row["confidential"]]
    assert api.get(f"{ISSUES}/{hidden}").status_code == 200
    answer = guest.get(f"{ISSUES}/{hidden}")
    assert (answer.status_code, answer.json()) == (404, {"message": "404 Not found"})
    assert guest.get(f"{ISSUES}/{hidden}/discussions").status_code == 404
    assert iids(guest.get(ISSUES, params={"iids[]": [hidden, 12]})) == [12]


def test_internal_notes_are_left_out_for_a_guest(api: httpx.Client, guest: httpx.Client) -> None:
    mine, theirs = (client.get(f"{ISSUES}/12/notes").json() for client in (api, guest))
    internal = [note for note in mine if note["internal"]]
    assert len(internal) == 1
    assert [note["id"] for note in theirs] == [note["id"] for note in mine if not note["internal"]]
    assert guest.get(f"{ISSUES}/12/notes/{internal[0]['id']}").status_code == 404
    threads = guest.get(f"{ISSUES}/12/discussions").json()
    assert internal[0]["id"] not in [note["id"] for thread in threads for note in thread["notes"]]


def test_totals_are_left_out_past_ten_thousand_rows() -> None:
    with (
        RunningSandbox(build_sample(issues=10_001, merge_requests=35)) as large,
        client_for(large, large.token) as api,
    ):
        answer = api.get(ISSUES, params={"per_page": 100})
        assert "x-total" not in answer.headers
        assert "x-total-pages" not in answer.headers
        assert set(answer.links) == {"first", "next"}
        assert api.get(ISSUES, params={"per_page": 100, "page": 101}).headers["x-next-page"] == ""
        assert api.get(CHANGES).headers["x-total"] == "35"


def test_links_and_redirects_stay_on_this_server_under_its_prefix() -> None:
    with RunningSandbox(prefix="/gitlab") as prefixed, client_for(prefixed, prefixed.token) as api:
        answer = api.get(ISSUES)
        assert answer.links["next"]["url"].startswith(f"{prefixed.url}/api/v4{ISSUES}?")
        assert prefixed.url.endswith("/gitlab")
        moved = api.get("/projects/acme%2Frocket-old/issues?iids[]=12")
        assert moved.status_code == 301
        assert urlsplit(moved.headers["location"]).path == "/gitlab/api/v4/projects/4201/issues"
        assert iids(api.get(moved.headers["location"])) == [12]
        outside = api.get(prefixed.url.removesuffix("/gitlab") + "/api/v4/version")
        assert outside.status_code == 404
        prefixed.control.add_fault("/api/v4/version", status=500)
        assert api.get("/version").status_code == 500


def _every(api: httpx.Client) -> list[dict[str, Any]]:
    pages = [api.get(ISSUES, params={"per_page": 100, "page": page}).json() for page in (1, 2)]
    return [row for page in pages for row in page]
