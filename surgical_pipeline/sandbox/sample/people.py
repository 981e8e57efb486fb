"""The people, labels, milestones and projects of the sample."""

from __future__ import annotations

from typing import Final

from surgical_pipeline.sandbox.model import Json, Project
from surgical_pipeline.sandbox.payloads import WEB, label_payload, milestone_payload, user_payload

ROCKET_ID: Final = 4201
LAUNCHPAD_ID: Final = 4202
VAULT_ID: Final = 4203

_NAMES: Final = (
    ("mira.okafor", "Mira Okafor"),
    ("jonas.weber", "Jonas Weber"),
    ("priya.nair", "Priya Nair"),
    ("tomasz.zielinski", "Tomasz Zieliński"),
    ("li.wei", "李伟"),
    ("sofia.marques", "Sofia Marqués"),
    ("d.sokolov", "Дмитрий Соколов"),
    ("hana.sato", "佐藤花"),
    ("ama.boateng", "Ama Boateng"),
    ("luc.tremblay", "Luc Tremblay"),
    ("orbit-sync", "Orbit Sync"),
    ("visitor", "Range Visitor"),
)
ENGINEERS: Final = tuple(username for username, _ in _NAMES[:10])

_LABELS: Final = (
    ("type::bug", "#D9534F", "Something does not do what it should"),
    ("type::feature", "#5CB85C", "Something that could not be done before"),
    ("type::maintenance", "#8E44AD", "Upkeep, refactoring, dependencies"),
    ("type::docs", "#428BCA", "Words for operators and developers"),
    ("priority::1", "#CC0000", "Before the next countdown"),
    ("priority::2", "#F0AD4E", "Before the next milestone"),
    ("priority::3", "#7F8C8D", "When there is time"),
    ("component::telemetry", "#0033CC", "Decoding, lag, storage of telemetry"),
    ("component::flight", "#1ABC9C", "Guidance, navigation, sequencing"),
    ("component::console", "#E67E22", "What operators look at"),
    ("component::ground", "#16A085", "Antennas, pads, stations"),
    ("component::platform", "#34495E", "Builds, deployment, databases, access"),
    ("needs::decision", "#AD4363", None),
    ("launch-blocker", "#FF0000", "No launch before this is closed"),
)
_MILESTONES: Final = (
    ("Static fire", "2026-03-15"),
    ("Wet dress rehearsal", "2026-05-20"),
    ("Maiden flight", "2026-07-31"),
    ("Return to flight", "2026-10-30"),
)


def namespace_payload(full_path: str, group_id: int, *, parent: Json | None = None) -> Json:
    """A group as it stands in its projects."""
    name = full_path.rpartition("/")[2]
    return {
        "id": group_id,
        "name": name,
        "path": name,
        "kind": "group",
        "full_path": full_path,
        "parent_id": parent["id"] if parent else None,
        "avatar_url": None,
        "web_url": f"{WEB}/groups/{full_path}",
    }


_ACME: Final = namespace_payload("acme", 900)
_SECRET: Final = namespace_payload("secret", 901)


def sample_users() -> dict[str, Json]:
    """Username to payload; the first is the product owner, the last two own the tokens."""
    return {username: user_payload(200 + n, username, name) for n, (username, name) in enumerate(_NAMES, start=1)}


def rocket() -> Project:
    payload = project_payload(ROCKET_ID, "rocket", namespace=_ACME, visibility="internal")
    labels = {
        name: label_payload(3000 + n, name, color=color, description=text)
        for n, (name, color, text) in enumerate(_LABELS, start=1)
    }
    milestones = tuple(
        milestone_payload(880 + n, n, project=payload, title=title, due=due)
        for n, (title, due) in enumerate(_MILESTONES, start=1)
    )
    return Project(payload, ("acme/rocket-old",), labels, milestones)


def launchpad() -> Project:
    payload = project_payload(LAUNCHPAD_ID, "launchpad", namespace=_ACME, visibility="private")
    bug = label_payload(3101, "type::bug", color="#D9534F", description=None)
    return Project(payload, (), {"type::bug": bug}, ())


def vault() -> Project:
    """Nobody's token may read this one."""
    return Project(project_payload(VAULT_ID, "vault", namespace=_SECRET, visibility="private"), (), {}, ())


def project_payload(project_id: int, name: str, *, namespace: Json, visibility: str) -> Json:
    """A project in the group `namespace`."""
    group = namespace["full_path"]
    path = f"{group}/{name}"
    api = f"{WEB}/api/v4/projects/{project_id}"
    parts = ("issues", "merge_requests", "labels", "events", "members")
    return {
        "id": project_id,
        "description": "Ground control and telemetry for the Acme launch vehicles",
        "name": name,
        "name_with_namespace": f"{group} / {name}",
        "path": name,
        "path_with_namespace": path,
        "created_at": "2026-01-05T08:00:00.000Z",
        "default_branch": "main",
        "tag_list": [],
        "topics": [],
        "ssh_url_to_repo": f"git@gitlab.acme.example:{path}.git",
        "http_url_to_repo": f"{WEB}/{path}.git",
        "web_url": f"{WEB}/{path}",
        "readme_url": f"{WEB}/{path}/-/blob/main/README.md",
        "forks_count": 0,
        "avatar_url": None,
        "star_count": 3,
        "last_activity_at": "2026-10-30T16:00:00.000Z",
        "namespace": namespace,
        "_links": {"self": api} | {part: f"{api}/{part}" for part in parts},
        "empty_repo": False,
        "archived": False,
        "visibility": visibility,
        "issues_enabled": True,
        "merge_requests_enabled": True,
        "issues_access_level": "enabled",
        "merge_requests_access_level": "enabled",
        "creator_id": 201,
        "import_status": "none",
        "merge_method": "merge",
        "squash_option": "default_off",
        "updated_at": "2026-10-30T16:00:00.000Z",
    }
