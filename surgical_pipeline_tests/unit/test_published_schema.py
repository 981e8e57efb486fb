"""The JSON Schema in docs/ is that of the documents we print."""

import json

from surgical_pipeline.domain.outcomes import SyncResult
from surgical_pipeline_tests.conftest import REPOSITORY


def test_the_published_schema_is_the_one_of_the_code() -> None:
    published = json.loads((REPOSITORY / "docs" / "sync-result.schema.json").read_text(encoding="utf-8"))
    assert published == SyncResult.model_json_schema(mode="serialization"), (
        "write docs/sync-result.schema.json anew with the command in docs/result.md"
    )
