"""Valid and invalid requests generated from the OpenAPI document, against the running product."""

import pytest
import requests
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi import checks

from tests.contract.document import document, operations
from tests.support.customers import ALL_SCOPES
from tests.support.properties import HealthCheck, Phase, settings

pytest_plugins = ("schemathesis.pytest.plugin",)

CONFIG = SchemathesisConfig.from_dict({"generation": {"mode": "all", "deterministic": True}, "phases": {"fuzzing": {"enabled": True}}})
# The cases of an operation are generated when its test runs, not when tests are collected, which each process does for all tests.
OPERATIONS = schemathesis.pytest.from_fixture("operation")
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.positive_data_acceptance,
]
# Constraints that a schema cannot express: times in the past or in order, and URLs that can be called.
BEYOND = {checks.positive_data_acceptance: {"generate_key", "usage_history", "record_events", "create_webhook_endpoint"}}


def names_customer(case):
    """Return whether the request names a customer for a service key, which a customer's key must not."""
    places = [place for place in (case.body, case.query) if isinstance(place, dict)]
    return any(name in place for place in places for name in ("credential", "organizationId"))


@pytest.fixture(params=operations(), ids=lambda operation: operation.name)
def operation(request):
    # An attribute of earlier versions of pytest, which schemathesis reads.
    request.node._nodeid = request.node.nodeid
    paths = {request.param.path: {request.param.method.lower(): request.param.definition}}
    return schemathesis.openapi.from_dict(document() | {"paths": paths}, config=CONFIG)


@pytest.fixture
def key(owner):
    """A new organization for each operation, because some operations end the key that they use."""
    return owner.make_key("Fuzz", scopes=ALL_SCOPES)["key"]


@pytest.fixture
def connection():
    with requests.Session() as session:
        yield session


@settings(
    max_examples=8,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@OPERATIONS.parametrize()
def test_generated_requests_get_documented_responses(case, world, owner, key, connection):
    allowed = [check for check in CHECKS if case.operation.definition.raw["operationId"] not in BEYOND.get(check, ())]
    if names_customer(case):
        allowed = [check for check in allowed if check is not checks.positive_data_acceptance]
    answer = case.call(base_url=world.url, session=connection, headers={"Authorization": f"Bearer {key}"}, timeout=30)
    case.validate_response(answer, checks=allowed)
