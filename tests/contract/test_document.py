"""What the OpenAPI document promises about itself."""

import jsonschema_rs
import pytest
from django.urls import URLPattern, get_resolver

from tests.contract.document import complaints, document, operations

# Stripe's own format, and the document's own addresses.
NOT_IN_IT = {"api/billing/webhooks/stripe", "api/schema", "api/docs"}


def test_it_is_openapi_3_1_and_was_written_without_a_doubt():
    assert document()["openapi"].startswith("3.1")
    assert complaints() == []


def test_it_names_every_address_of_the_api():
    def addresses(patterns, prefix=""):
        for each in patterns:
            path = prefix + str(each.pattern)
            if isinstance(each, URLPattern):
                yield path
            else:
                yield from addresses(each.url_patterns, path)

    there = {path for path in addresses(get_resolver().url_patterns) if path.startswith("api/")}
    told = {path.lstrip("/").count("/") for path in document()["paths"]}
    assert len(there - NOT_IN_IT) == len(document()["paths"]), sorted(there - NOT_IN_IT)
    assert told


@pytest.mark.parametrize("operation", operations(), ids=lambda each: each.name)
def test_it_says_what_each_operation_does_and_shows_it(operation):
    told = operation.told
    assert told["summary"]
    assert told["tags"]
    assert told["responses"]["default"]["content"]["application/problem+json"]
    if operation.body and operation.body["schema"] != {"$ref": "#/components/schemas/NothingSchemaRequest"}:
        assert operation.body.get("examples"), "no example of a body"
    for status, answer in told["responses"].items():
        for kind, media in answer.get("content", {}).items():
            if kind == "application/json" and status.startswith("2"):
                assert media.get("examples"), f"no example of a {status}"


@pytest.mark.parametrize("operation", operations(), ids=lambda each: each.name)
def test_its_examples_are_what_it_says_they_are(operation):
    media = [operation.body] if operation.body else []
    media += [one for answer in operation.told["responses"].values() for kind, one in answer.get("content", {}).items() if "json" in kind]
    for each in media:
        valid = validator(each["schema"])
        for name, example in each.get("examples", {}).items():
            found = [f"{error.instance_path}: {error.message}" for error in valid.iter_errors(example["value"])]
            assert found == [], name


def validator(schema):
    return jsonschema_rs.validator_for({**schema, "components": document()["components"]}, validate_formats=True)
