"""The record of refusals by several processes, across restarts and while Postgres is unavailable."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.factories.accounts import OrganizationFactory, Person, UserFactory, key_of
from tests.factories.usage import UsageCounterFactory
from tests.gate.test_outage import doors
from tests.support.gates import Http, WebProcess, gate_process, running
from tests.support.refusals import recorded
from tests.support.workers import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.chaos, pytest.mark.timeout(300)]
AUTHORIZE = "/api/usage/authorize"
RATE = {"feature": "session_creation", "amount": 11}


@pytest.fixture
def acme():
    organization = OrganizationFactory(owner=UserFactory())
    UsageCounterFactory(organization=organization, used=50)
    return Person(organization.memberships.select_related("organization", "user").get())


def refuse(port, key, body, times):
    client = Http(port)
    for _ in range(times):
        assert client.post(AUTHORIZE, body, key=key)[0] in {403, 422, 429}


def test_the_counts_of_several_processes_add_up_exactly(acme):
    bodies = [{"feature": "sessions"}, RATE, {"feature": "git_integration"}, {"feature": "invented"}]
    with gate_process(workers=2) as one, gate_process() as two, running(WebProcess) as web:
        calls = [(server.port, acme.key, body, 40) for server in (one, two, web) for body in bodies]
        with ThreadPoolExecutor(len(calls)) as pool:
            list(pool.map(refuse, *zip(*calls, strict=True)))
        # Written by a running process, within its write interval.
        until(lambda: sum(recorded(acme.organization).values()) == 480, "every refusal is recorded", 10)
        refuse(one.port, acme.key, RATE, 1)
    assert recorded(acme.organization, "code", "feature") == {
        ("quota_exceeded", "sessions"): 120,
        ("rate_limited", "session_creation"): 121,
        ("feature_not_available", "git_integration"): 120,
        ("validation_error", ""): 120,
    }


@pytest.mark.parametrize("server", ["gate", "web"])
def test_a_process_that_ends_writes_what_it_has_counted(acme, server):
    with gate_process() if server == "gate" else running(WebProcess) as process:
        refuse(process.port, acme.key, RATE, 1)
        until(lambda: recorded(acme.organization) == {"rate_limited": 1}, "the first refusal is recorded", 10)
        refuse(process.port, acme.key, RATE, 7)
    assert recorded(acme.organization) == {"rate_limited": 8}


def test_refusals_during_an_outage_of_postgres_are_recorded_afterwards(acme):
    with gate_process() as gate:
        refuse(gate.port, acme.key, RATE, 5)
        time.sleep(0.7)  # Data that was read before the first poll of the process is not cached.
        refuse(gate.port, acme.key, RATE, 1)
        doors(open_=False)
        try:
            time.sleep(2.5)
            began = time.monotonic()
            refuse(gate.port, acme.key, RATE, 20)
            assert time.monotonic() - began < 15
        finally:
            doors(open_=True)
        until(lambda: recorded(acme.organization) == {"rate_limited": 26}, "all refusals are recorded", 20)
    assert recorded(acme.organization) == {"rate_limited": 26}


def test_refusals_before_the_plan_is_asked_are_recorded(acme):
    reader = key_of(acme.membership, ["usage:read"])
    with gate_process() as gate:
        client = Http(gate.port)
        assert client.post(AUTHORIZE, {"feature": "sessions"}, key=reader)[2]["code"] == "insufficient_scope"
        assert client.post("/api/entitlements/check", {"feature": "git_integration"}, key=acme.key)[2]["allowed"] is False
        assert (
            client.post("/api/usage/events", {"events": [{"feature": "invented"}, {"feature": "other"}]}, key=acme.key)[2]["refused"] == 2
        )
        assert client.post(AUTHORIZE, {"feature": "sessions"}, key=acme.key[:-1] + "!")[0] == 401
    assert recorded(acme.organization) == {"insufficient_scope": 1, "validation_error": 2}
