"""The JSON Schemas in docs/ are those of the documents we print."""

import json

import jsonschema
import pytest
from pydantic import BaseModel

from surgical_pipeline_tests.published_schemas import PUBLISHED, check_output
from surgical_pipeline_tests.surroundings import REPOSITORY


@pytest.mark.parametrize(("name", "document"), PUBLISHED.items())
def test_the_published_schema_is_the_one_of_the_code(name: str, document: type[BaseModel]) -> None:
    published = json.loads((REPOSITORY / "docs" / name).read_text(encoding="utf-8"))
    assert published == document.model_json_schema(mode="serialization"), "run `make schema`"


def test_an_output_that_breaks_its_promise_is_noticed() -> None:
    with pytest.raises(jsonschema.ValidationError):
        check_output(["sync", "acme/rocket#1", "--json"], '{"schema_version": 1}')
