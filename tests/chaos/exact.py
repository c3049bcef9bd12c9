"""N left, many more ask at once: exactly N are admitted, though servers are killed and the cache is flushed in the middle."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from django.conf import settings

from contextmcp.local.databases import forget_keys
from tests.chaos import crowd
from tests.chaos.crowd import Call, Crowd
from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.factories.usage import UsageCounterFactory, subscribe
from tests.support.gates import GateProcess, WebProcess
from usage.models import EventKey, UsageCounter, UsageEvent, UsageSummary
from usage.rebuild import differences

LIMIT = 1000  # sessions a month on pro
CALL = ("/api/usage/authorize", {"feature": "sessions"})


@dataclass
class Exact:
    left: int
    calls: int
    admitted: int = 0
    again: int = 0
    kills: int = 0
    flushes: int = 0
    wrong: list[str] = field(default_factory=list)


class Servers:
    """Three gates and a web server, each killable and then back on its port."""

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
        """`kill -9`, and up again meanwhile."""
        doomed = self.running[number]
        doomed.kill()
        self.running[number] = type(doomed)(port=doomed.port)
        self.kills += 1

    def flush(self) -> None:
        """All that this product wrote to Valkey; a shared server's other keys stay."""
        forget_keys(settings.REDIS_URL, settings.CACHE_PREFIX)
        self.flushes += 1


@contextmanager
def servers(*, gates: int = 3, webs: int = 1) -> Iterator[tuple[Servers, list[int]]]:
    found = Servers()
    with ExitStack() as stack:
        stack.callback(lambda: [server.kill() for server in found.running])
        yield found, found.start(gates, webs)


def run(left: int, *, calls: int, repeats: int, clients: int, gates: int = 3, webs: int = 1) -> Exact:
    """`calls` under names of their own and `repeats` of some of them, against `left`."""
    organization = OrganizationFactory(owner=UserFactory())
    person = Person(organization.memberships.select_related("organization", "user").get())
    subscribe(organization)
    UsageCounterFactory(organization=organization, used=LIMIT - left)
    # The repeats stand beside their firsts, so that they meet.
    wanted = [Call(*CALL, f"call-{number}") for number in range(calls) for _ in range(2 if number < repeats else 1)]
    found = Exact(left, len(wanted))
    with servers(gates=gates, webs=webs) as (world, ports):
        plan = {
            len(wanted) // 8: lambda: world.kill(0),
            len(wanted) // 4: world.flush,
            len(wanted) // 3: lambda: world.kill(gates),
            len(wanted) // 2: lambda: world.kill(1),
        }

        def disturb(number: int) -> None:
            if act := plan.pop(number, None):
                threading.Thread(target=act).start()

        said = crowd.ask(ports, person.key, wanted, clients=clients, patience=180, on_answer=disturb)
        found.kills, found.flushes = world.kills, world.flushes
    found.again = said.again
    _judge(found, said, organization)
    return found


def _judge(found: Exact, said: Crowd, organization: object) -> None:
    granted = said.granted()
    found.admitted = len(granted)
    found.wrong += said.odd
    for name, bodies in granted.items():
        if any(body != bodies[0] for body in bodies):
            found.wrong.append(f"{name} was answered in two ways: {bodies}")
        if len(bodies) != len(said.answers[name]):
            found.wrong.append(f"{name} was granted and refused")
    odd = {status for answers in said.answers.values() for status, _ in answers} - {200, 429}
    found.wrong += [f"there were answers {sorted(odd)}"] if odd else []
    counter = UsageCounter.objects.get(organization=organization)
    mine = UsageEvent.objects.filter(organization=organization)
    figures = {
        "admitted": found.admitted,
        "counted": counter.used - (LIMIT - found.left),
        "stored": mine.count(),
        "keys stored": EventKey.objects.filter(organization_id=counter.organization_id).count(),
        "summed up": sum(UsageSummary.objects.filter(organization=organization, grain="d").values_list("amount", flat=True)),
    }
    found.wrong += [f"{what}: {number}, not {found.left}" for what, number in figures.items() if number != found.left]
    if wrong := differences(str(counter.organization_id)):
        found.wrong.append(f"{wrong} summaries differ from the events")
