"""Small answers of GitLab, as its API gives them."""

from datetime import UTC, datetime

NOW = datetime(2024, 6, 1, tzinfo=UTC)
ISSUE: dict[str, object] = {
    "id": 90,
    "iid": 12,
    "project_id": 7,
    "title": "Tank pressure drops",
    "state": "opened",
    "updated_at": "2024-05-01T10:00:00.000Z",
    "confidential": True,
    "moved_to_id": 91,
}
MERGE_REQUEST: dict[str, object] = {
    "id": 80,
    "iid": 34,
    "project_id": 7,
    "target_project_id": 7,
    "target_branch": "main",
    "sha": "abc123",
    "title": "Seal the tank",
    "state": "merged",
    "updated_at": "2024-05-01T10:00:00.000Z",
}
DISCUSSION: dict[str, object] = {
    "id": "d1",
    "individual_note": False,
    "notes": [
        {"id": 2, "body": "b", "author": {"username": "ada"}, "system": False, "internal": True},
        {"id": 1, "body": "a", "author": None, "system": True, "created_at": "2024-05-01T10:00:00Z"},
    ],
}
