"""With N units left, exactly N of many concurrent calls are allowed, although servers are killed and the cache is flushed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from django.conf import settings

from accounts.models import Organization
from contextmcp.devstack.databases import forget_keys
from tests.chaos import load_clients
from tests.chaos.load_clients import Call, LoadClients
from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.factories.usage import UsageCounterFactory, subscribe
from tests.support.gates import GateProcess, WebProcess
from usage.models import IdempotencyKey, UsageCounter, UsageEvent, UsageSummary
from usage.store.rebuild import count_mismatched_summaries

LIMIT = 1000  # sessions per month on Pro
CALL = ("/api/usage/authorize", {"feature": "sessions"})


@dataclass
class Exact:
    left: int
    calls: int
    admitted: int = 0
    again: int = 0
    kills: int = 0
    flushes: int = 0
    failures: list[str] = field(default_factory=list)


class Servers:
    """Start three gates and a web server, each of which can be killed and restarted on its port."""

    def __init__(self) -> None:
        self.running: list[GateProcess] = []
        self.starting: list[threading.Thread] = []
        self.kills = self.flushes = 0

    def start(self, gates: int, webs: int) -> list[int]:
        self.running = [GateProcess() for _ in range(gates)] + [WebProcess() for _ in range(webs)]
        for server in self.running:
            server.wait(60)
        return [server.port for server in self.running]

    def kill(self, number: int) -> None:
        """Send SIGKILL to a server and start it again."""
        victim = self.running[number]
        victim.kill()
        self.running[number] = type(victim)(port=victim.port)
        self.kills += 1

    def kill_all(self) -> None:
        for server in self.running:
            server.kill()

    def flush(self) -> None:
        """Delete the product's keys in Valkey. A shared server keeps its other keys."""
        forget_keys(settings.REDIS_URL, settings.CACHE_PREFIX)
        self.flushes += 1


@contextmanager
def servers(*, gates: int = 3, webs: int = 1) -> Iterator[tuple[Servers, list[int]]]:
    result = Servers()
    with ExitStack() as stack:
        stack.callback(result.kill_all)
        yield result, result.start(gates, webs)


def run(remaining: int, *, calls: int, repeats: int, clients: int, gates: int = 3, webs: int = 1) -> Exact:
    """Send `calls` with distinct keys and `repeats` of some of them, with `left` units left."""
    organization = OrganizationFactory(owner=UserFactory())
    person = Person(organization.memberships.select_related("organization", "user").get())
    subscribe(organization)
    UsageCounterFactory(organization=organization, used=LIMIT - remaining)
    # Each repeat is next to its original, so that both run at the same time.
    expected = [Call(*CALL, f"call-{number}") for number in range(calls) for _ in range(2 if number < repeats else 1)]
    result = Exact(remaining, len(expected))
    with servers(gates=gates, webs=webs) as (world, ports):
        plan = {
            len(expected) // 8: lambda: world.kill(0),
            len(expected) // 4: world.flush,
            len(expected) // 3: lambda: world.kill(gates),
            len(expected) // 2: lambda: world.kill(1),
        }

        def disturb(number: int) -> None:
            if act := plan.pop(number, None):
                threading.Thread(target=act).start()

        output = load_clients.ask(ports, person.key, expected, clients=clients, timeout=180, on_answer=disturb)
        result.kills, result.flushes = world.kills, world.flushes
    result.again = output.again
    _check_outcome(result, output, organization)
    return result


def _check_outcome(result: Exact, message: LoadClients, organization: Organization) -> None:
    granted = message.granted()
    result.admitted = len(granted)
    result.failures += message.odd
    for name, bodies in granted.items():
        if any(body != bodies[0] for body in bodies):
            result.failures.append(f"{name} was answered in two ways: {bodies}")
        if len(bodies) != len(message.answers[name]):
            result.failures.append(f"{name} was granted and refused")
    odd = {status for answers in message.answers.values() for status, _ in answers} - {200, 429}
    result.failures += [f"there were answers {sorted(odd)}"] if odd else []
    counter = UsageCounter.objects.get(organization=organization)
    mine = UsageEvent.objects.filter(organization=organization)
    figures = {
        "admitted": result.admitted,
        "counted": counter.used - (LIMIT - result.left),
        "stored": mine.count(),
        "keys stored": IdempotencyKey.objects.filter(organization_id=counter.organization_id).count(),
        "summed up": sum(UsageSummary.objects.filter(organization=organization, grain="d").values_list("amount", flat=True)),
    }
    result.failures += [f"{what}: {number}, not {result.left}" for what, number in figures.items() if number != result.left]
    if mismatches := count_mismatched_summaries(str(counter.organization_id)):
        result.failures.append(f"{mismatches} summaries differ from the events")
