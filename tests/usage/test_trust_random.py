"""No random request with a customer's default key, to Django or the gate, increases the customer's allowance."""

import pytest

from tests.support.gates import gate_process
from tests.support.properties import HealthCheck, Phase, given, settings
from tests.support.trust import GeneratedRequest, Stage, attempt, requests

EXAMPLES = 300


@pytest.fixture
def stage(transactional_db):
    with gate_process() as gate:
        yield Stage(gate.port)


def test_random_requests_never_lower_usage(stage):
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck)
    )
    @given(requests)
    def try_one(request):
        assert attempt(stage, request) == []

    try_one()
    # Neither all refused for one reason nor failed.
    assert {200, 403, 405, 422} <= set(stage.statuses)
    assert 500 not in stage.statuses


def test_a_lowered_usage_would_be_detected(stage):
    """The service key sends what the customer's key must not."""
    customer, stage.key = stage.key, stage.service
    correction = {"feature": "sessions", "amount": -5, "reason": "r", "credential": customer}
    for on_gate in (True, False):
        result = attempt(stage, GeneratedRequest(on_gate, "POST", "/api/usage/events", {}, {}, correction))
        assert any(text.startswith("used of sessions") for text in result)
        assert any(text.startswith("remaining of sessions") for text in result)
        stage.key = stage.service
    credit = {**correction, "credit": True}
    assert any("remaining" in text for text in attempt(stage, GeneratedRequest(True, "POST", "/api/usage/events", {}, {}, credit)))
    gauge = {"value": 0, "credential": customer}
    result = attempt(stage, GeneratedRequest(False, "PUT", "/api/usage/gauges/projects", {}, {}, gauge))
    assert any(text.startswith("used of projects") for text in result)
