"""The JSON Schemas in docs/: what they are made of, and outputs checked against them; run it to write them."""

import json
from collections.abc import Sequence
from functools import cache

import jsonschema
from pydantic import BaseModel

from surgical_pipeline.domain.backfill_report import BackfillResult
from surgical_pipeline.domain.outcomes import SyncResult
from surgical_pipeline.domain.retry import RetryResult
from surgical_pipeline_tests.surroundings import REPOSITORY

PUBLISHED: dict[str, type[BaseModel]] = {
    "sync-result.schema.json": SyncResult,
    "retry-result.schema.json": RetryResult,
    "backfill-result.schema.json": BackfillResult,
}
_PRINTED_BY = {
    ("sync",): "sync-result.schema.json",
    ("demo",): "sync-result.schema.json",
    ("runs", "show"): "sync-result.schema.json",
    ("retry",): "retry-result.schema.json",
}


def check_output(arguments: Sequence[str], stdout: str) -> None:
    """A command's JSON document must be what its schema promises; other output is none of our business."""
    if "--json" not in arguments or not stdout.strip():
        return
    for words, name in _PRINTED_BY.items():
        if tuple(arguments[: len(words)]) == words:
            check_document(name, json.loads(stdout))


def check_document(name: str, document: object) -> None:
    """Against the file in docs/, as somebody who does not know our code would.

    Raises:
        jsonschema.ValidationError: the document breaks its promise.
    """
    _validator(name).validate(document)


@cache
def _validator(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((REPOSITORY / "docs" / name).read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


def main() -> None:
    for name, document in PUBLISHED.items():
        schema = document.model_json_schema(mode="serialization")
        (REPOSITORY / "docs" / name).write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
