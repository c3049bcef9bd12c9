"""Requirements on the OpenAPI document itself."""

import jsonschema_rs
import pytest
from django.urls import URLPattern, get_resolver
from drf_spectacular.generators import SchemaGenerator

from tests.contract.document import document, generator_warnings, operations

pytestmark = pytest.mark.any_catalog
# Stripe's own format, and the document's own addresses.
NOT_IN_IT = {"api/billing/webhooks/stripe", "api/schema", "api/docs"}


def test_the_document_is_valid_openapi_3_1_without_warnings():
    assert document()["openapi"].startswith("3.1")
    assert generator_warnings() == []


def test_the_document_contains_every_url_of_the_api():
    def addresses(patterns, prefix=""):
        for each in patterns:
            path = prefix + str(each.pattern)
            if isinstance(each, URLPattern):
                yield path
            else:
                yield from addresses(each.url_patterns, path)

    there = {path for path in addresses(get_resolver().url_patterns) if path.startswith("api/")}
    definition = {path.lstrip("/").count("/") for path in document()["paths"]}
    assert len(there - NOT_IN_IT) == len(document()["paths"]), sorted(there - NOT_IN_IT)
    assert definition


@pytest.mark.parametrize("operation", operations(), ids=lambda each: each.name)
def test_every_operation_has_a_description_and_examples(operation):
    definition = operation.definition
    assert definition["summary"]
    assert definition["tags"]
    # With a default response, the contract tests would accept every status.
    assert "default" not in definition["responses"]
    refusals = {status: answer for status, answer in definition["responses"].items() if int(status) >= 400}
    assert {"400", "422", "503"} <= set(refusals)
    assert operation.is_open or "401" in refusals
    for answer in refusals.values():
        assert answer["content"] == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        assert "`" in answer["description"]
    if operation.body and operation.body["schema"] != {"$ref": "#/components/schemas/NothingSchemaRequest"}:
        assert operation.body.get("examples"), "no example of a body"
    for status, answer in definition["responses"].items():
        for kind, media in answer.get("content", {}).items():
            if kind == "application/json" and status.startswith("2"):
                assert media.get("examples"), f"no example of a {status}"


@pytest.mark.parametrize("operation", operations(), ids=lambda each: each.name)
def test_examples_match_their_schemas(operation):
    media = [operation.body] if operation.body else []
    media += [
        one for answer in operation.definition["responses"].values() for kind, one in answer.get("content", {}).items() if "json" in kind
    ]
    for each in media:
        valid = validator(each["schema"])
        for name, example in each.get("examples", {}).items():
            matches = [f"{error.instance_path}: {error.message}" for error in valid.iter_errors(example["value"])]
            assert matches == [], name


def test_every_property_and_parameter_is_described():
    """The generator adds a list of an enum's values, which is not a description."""

    def missing(place, name, definition):
        return [f"{place} {name}"] if not definition.get("description", "").partition("* `")[0].strip() else []

    undescribed = [
        each
        for place, schema in nested_schemas("", document())
        for name, definition in schema["properties"].items()
        for each in missing(place, name, definition)
    ]
    for operation in operations():
        for parameter in operation.definition.get("parameters", ()):
            undescribed += missing(operation.name, parameter["name"], parameter)
    assert undescribed == []


def nested_schemas(place, node):
    """Yield each object schema with properties, at any depth, with its place in the document. Examples are no schemas."""
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict) and node.get("type") == "object":
            yield place, node
        children = node.items()
    else:
        children = enumerate(node) if isinstance(node, list) else ()
    for name, child in children:
        if name not in {"examples", "example"}:
            yield from nested_schemas(f"{place}/{name}", child)


def test_each_conflict_has_a_code_of_its_own():
    descriptions = [answer["description"] for each in operations() for answer in each.definition["responses"].values()]
    assert not [text for text in descriptions if "`conflict`" in text]


def test_the_session_cookie_has_the_configured_name(settings):
    settings.SESSION_COOKIE_NAME = "__Host-sessionid"
    definition = SchemaGenerator().get_schema(request=None, public=True)["components"]["securitySchemes"]
    assert {definition["session"]["name"], definition["signedIn"]["name"]} == {"__Host-sessionid"}


def validator(schema):
    return jsonschema_rs.validator_for({**schema, "components": document()["components"]}, validate_formats=True)
