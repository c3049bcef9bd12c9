"""Requests made up from the OpenAPI document, good ones and bad ones, against the running product."""

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi import checks

from tests.contract.document import document
from tests.support.customers import ALL_SCOPES

CONFIG = SchemathesisConfig.from_dict({"generation": {"mode": "all", "deterministic": True}, "phases": {"fuzzing": {"enabled": True}}})
SCHEMA = schemathesis.openapi.from_dict(document(), config=CONFIG)
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.positive_data_acceptance,
]
# What a schema cannot say: a time that is past, or before another one; an address that can be called.
BEYOND = {checks.positive_data_acceptance: {"generate_key", "usage_history", "record_events", "create_webhook_endpoint"}}


@pytest.fixture
def key(owner):
    """A fresh one for each operation: some of them end the key they are called with."""
    return owner.make_key("Fuzz", scopes=ALL_SCOPES)["key"]


@pytest.fixture
def connection():
    with requests.Session() as session:
        yield session


@SCHEMA.parametrize()
@settings(
    max_examples=8,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_what_is_made_up_is_answered_as_promised(case, world, owner, key, connection):
    allowed = [check for check in CHECKS if case.operation.definition.raw["operationId"] not in BEYOND.get(check, ())]
    answer = case.call(base_url=world.url, session=connection, headers={"Authorization": f"Bearer {key}"}, timeout=30)
    case.validate_response(answer, checks=allowed)
