"""Several gates, killed under load, with flushes of the cache: acknowledged equals counted equals stored."""

import http.client
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from contextmcp.common import valkey
from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.factories.usage import UsageCounterFactory
from tests.support.gates import Http, gate_process
from usage.models import IdempotencyKey, UsageCounter, UsageEvent, UsageSummary
from usage.store.rebuild import count_mismatched_summaries

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.chaos]
AUTHORIZE = "/api/usage/authorize"
TIMEOUT_SECONDS = 40


@pytest.fixture
def acme():
    organization = OrganizationFactory(owner=UserFactory())
    return Person(organization.memberships.select_related("organization", "user").get())


@pytest.fixture(scope="module")
def steady(django_db_setup, django_db_blocker):
    """The ports of two gates that no test kills."""
    with django_db_blocker.unblock(), gate_process() as one, gate_process() as two:
        yield [one.port, two.port]


class Client:
    """Repeat each request under its idempotency key until any running gate responds."""

    def __init__(self, ports, key, number):
        self.ports, self.key, self.turn = ports, key, itertools.count(number)
        self.connections = {}

    def ask(self, path, body, name=None):
        until = time.monotonic() + TIMEOUT_SECONDS
        headers = {} if name is None else {"idempotency_key": name}
        while time.monotonic() < until:
            port = self.ports[next(self.turn) % len(self.ports)]
            try:
                http_ = self.connections.get(port) or self.connections.setdefault(port, Http(port))
                status, _, output = http_.post(path, body, key=self.key, **headers)
            except (OSError, http.client.HTTPException):
                self.connections.pop(port, None)
                time.sleep(0.02)
                continue
            if status != 503:
                return status, output
        raise AssertionError("no server answered")


def crowd(ports, key, calls, threads=8):
    """Send every call of `calls` (path, body, name) by concurrent clients. Return the statuses by name."""
    answers, lock, waiting = {}, threading.Lock(), iter(calls)

    def run(number):
        client = Client(ports, key, number)
        while True:
            with lock:
                call = next(waiting, None)
            if call is None:
                return
            status, output = client.ask(*call)
            with lock:
                answers.setdefault(call[2], []).append((status, output))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, range(threads)))
    return answers


@pytest.mark.parametrize("remaining", [1, 10])
def test_several_gates_admit_exactly_the_remaining_quota(acme, steady, remaining):
    UsageCounterFactory(organization=acme.organization, used=50 - remaining)
    answers = crowd(steady, acme.key, [(AUTHORIZE, {"feature": "sessions"}, None)] * 60)
    statuses = [status for status, _ in answers[None]]
    assert (statuses.count(200), statuses.count(429)) == (remaining, 60 - remaining)
    assert UsageCounter.objects.get(organization=acme.organization).used == 50
    assert UsageEvent.objects.filter(organization=acme.organization).count() == remaining


def test_kills_and_flushes_lose_and_double_nothing(acme, steady):
    UsageCounterFactory(organization=acme.organization, used=1)
    names = [f"call-{number}" for number in range(120)]
    calls = [(AUTHORIZE, {"feature": "sessions"}, name) for name in names for _ in range(2)]
    with gate_process() as victim:

        def disturb():
            time.sleep(0.15)
            victim.kill()
            client = valkey.client()
            for name in client.scan_iter(valkey.key(acme.organization.pk, "*")):
                client.delete(name)

        trouble = threading.Thread(target=disturb)
        trouble.start()
        answers = crowd([steady[0], victim.port, steady[1]], acme.key, calls)
        trouble.join()
    admitted = {name for name, output in answers.items() if any(status == 200 for status, _ in output)}
    assert len(admitted) == 49
    for name in admitted:
        granted = [output for status, output in answers[name] if status == 200]
        assert all(output == granted[0] for output in granted)
    assert UsageCounter.objects.get(organization=acme.organization).used == 50
    assert UsageEvent.objects.filter(organization=acme.organization).count() == 49
    assert IdempotencyKey.objects.filter(organization_id=acme.organization.pk).count() == 49
    assert count_mismatched_summaries(str(acme.organization.pk)) == 0


def test_events_repeated_through_killed_gates_count_once(acme, steady):
    batches = [[{"feature": "sessions", "idempotencyKey": f"{batch}-{number}"} for number in range(50)] for batch in range(12)]
    calls = [("/api/usage/events", {"events": batch}, str(number)) for number, batch in enumerate(batches) for _ in range(3)]
    with gate_process() as victim:
        trouble = threading.Timer(0.1, victim.kill)
        trouble.start()
        answers = crowd([steady[0], victim.port], acme.key, calls)
        trouble.join()
    assert all(status == 200 and output["refused"] == 0 for said_all in answers.values() for status, output in said_all)
    assert UsageEvent.objects.filter(organization=acme.organization).count() == 600
    assert UsageCounter.objects.get(organization=acme.organization).used == 600
    assert UsageSummary.objects.get(organization=acme.organization, grain="d").events == 600
    assert count_mismatched_summaries(str(acme.organization.pk)) == 0
