"""Several clients send events three times each while all processes are killed: every acknowledged event is stored exactly once."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from random import Random
from uuid import UUID

from django.core.management import call_command
from django.db import connection

from billing.catalog import publish
from billing.manager import BillingManager
from billing.models import MeterReport
from contextmcp.devstack.services import Services
from tests.chaos import load_clients
from tests.chaos.load_clients import Call, LoadClients
from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.factories.billing import Payer
from tests.support.gates import GateProcess, WebProcess
from tests.support.stripe import Stripe, run
from tests.support.workers import Worker
from usage.models import IdempotencyKey, UsageCounter, UsageEvent

INCLUDED, CENTS, CAP = 1000, 2, 1_000_000_000
COPIES = 3
PATH = "/api/usage/events"


@dataclass
class Durable:
    """The result. `kills` are the numbers of kills by process."""

    events: int
    sent: int = 0
    acknowledged: int = 0
    accepted: int = 0
    again: int = 0
    seconds: float = 0.0
    units: int = 0
    at_stripe: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


class Scenario:
    """The product's processes on servers of their own. Each can be killed and is restarted immediately."""

    def __init__(self, services: Services, world: Stripe, logs: Path) -> None:
        self.services, self.world, self.logs = services, world, logs
        self.gates = [GateProcess(), GateProcess()]
        self.web = WebProcess()
        self.worker = self._worker()
        self.kills: dict[str, int] = {}
        # One at a time, because a restart needs the other servers.
        self.alone = threading.Lock()
        self.errors: list[str] = []
        for server in (*self.gates, self.web):
            server.wait(60)

    @property
    def ports(self) -> list[int]:
        return [*(gate.port for gate in self.gates), self.web.port]

    def _worker(self) -> Worker:
        return Worker(self.world.server, log=self.logs / "worker.log")

    def kill(self, what: str) -> None:
        with self.alone:
            try:
                getattr(self, f"_kill_{what}")()
                self.kills[what] = self.kills.get(what, 0) + 1
            except Exception as error:
                self.errors.append(f"{what} could not be killed or started: {error!r}")

    def _kill_gate(self) -> None:
        victim = self.gates.pop(0)
        victim.kill()
        self.gates.append(GateProcess(port=victim.port))

    def _kill_web(self) -> None:
        self.web.kill()
        self.web = WebProcess(port=self.web.port)

    def _kill_worker(self) -> None:
        self.worker.kill()
        self.worker = self._worker()

    def _kill_valkey(self) -> None:
        assert self.services.valkey
        self.services.valkey.kill()
        self.services.valkey.start()

    def _kill_postgres(self) -> None:
        assert self.services.postgres
        self.services.postgres.kill()
        self.services.postgres.start()

    def stop(self) -> None:
        with self.alone:
            for server in (*self.gates, self.web):
                server.kill()
            self.worker.kill()


def play(services: Services, world: Stripe, logs: Path, *, size: int, batch: int, clients: int, rounds: int, seed: int) -> Durable:
    """Send `size` events in batches, each three times and regrouped each time, and kill every kind of process `rounds` times meanwhile."""
    publish.publish_catalog()
    organization = OrganizationFactory(owner=UserFactory())
    payer = Payer.make(world, organization, clock=False)
    payer.buy()
    BillingManager(organization).set_overage(enabled=True, cap=CAP)
    world.deliver()
    person = Person(organization.memberships.select_related("organization", "user").get())
    rng, result = Random(seed), Durable(size)
    calls = _calls(size, batch, rng)
    result.sent = COPIES * size
    kinds = ["gate", "valkey", "web", "postgres", "worker"] * rounds
    with ExitStack() as stack:
        scenario = Scenario(services, world, logs)
        stack.callback(scenario.stop)
        plan = {len(calls) * (number + 1) // (len(kinds) + 2): kind for number, kind in enumerate(kinds)}
        threads: list[threading.Thread] = []

        def disturb(number: int) -> None:
            if kind := plan.pop(number, None):
                threads.append(threading.Thread(target=scenario.kill, args=[kind]))
                threads[-1].start()

        started = time.monotonic()
        output = load_clients.ask(scenario.ports, person.key, calls, clients=clients, timeout=1800, on_answer=disturb)
        result.seconds, result.again, result.kills = time.monotonic() - started, output.again, scenario.kills
        for thread in threads:
            thread.join(120)
        result.failures += scenario.errors
    connection.close()
    _judge_answers(result, output)
    _judge_rows(result, organization.pk)
    _judge_bill(result, payer)
    return result


def _calls(size: int, batch: int, rng: Random) -> list[Call]:
    calls = []
    for _ in range(COPIES):
        numbers = list(range(size))
        rng.shuffle(numbers)
        for start in range(0, size, batch):
            some = numbers[start : start + batch]
            events = [{"feature": "sessions", "amount": _amount(number), "idempotencyKey": f"e{number}"} for number in some]
            calls.append(Call(PATH, {"events": events}))
    rng.shuffle(calls)
    return calls


def _amount(number: int) -> int:
    return 1 + number % 5


def _judge_answers(result: Durable, message: LoadClients) -> None:
    answers = message.answers[None]
    result.failures += message.odd
    result.failures += [f"a batch was answered {status}: {body}" for status, body in answers if status != 200 or body["refused"]][:5]
    bodies = [body for status, body in answers if status == 200]
    result.acknowledged = sum(body["accepted"] + body["duplicates"] for body in bodies)
    result.accepted = sum(body["accepted"] for body in bodies)
    if result.acknowledged != result.sent:
        result.failures.append(f"{result.acknowledged} of {result.sent} were acknowledged")
    if result.accepted > result.events:
        result.failures.append(f"{result.accepted} were called new, but there are {result.events}")


def _judge_rows(result: Durable, organization_id: UUID) -> None:
    result.units = sum(_amount(number) for number in range(result.events))
    counted = sum(UsageCounter.objects.filter(organization_id=organization_id).values_list("used", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(DISTINCT digest), sum(amount) FROM usage_events WHERE organization_id = %s", [organization_id]
        )
        stored, different, amount = cursor.fetchone()
    figures = {
        "events stored": (stored, result.events),
        "different events stored": (different, result.events),
        "units stored": (amount, result.units),
        "units counted": (counted, result.units),
        "keys": (IdempotencyKey.objects.filter(organization_id=organization_id).count(), result.events),
        "events by their model": (UsageEvent.objects.count(), result.events),
    }
    result.failures += [f"{what}: {actual}, not {expected}" for what, (actual, expected) in figures.items() if actual != expected]
    try:
        call_command("rebuild_summaries", "--check", stdout=StringIO())
    except SystemExit:
        result.failures.append("summaries differ from the events")


def _judge_bill(result: Durable, payer: Payer) -> None:
    """Report the overage that the killed workers did not report, by the same task."""
    run("billing.report_overage", timestamp=0)
    run("billing.report_overage", timestamp=0)
    meter = payer.world.sdk.billing.meters.list().data[0]
    start = int(payer.state.anchor.timestamp()) // 60 * 60
    requested = {"customer": payer.customer, "start_time": start, "end_time": start + 32 * 86_400}
    listed = payer.world.sdk.billing.meters.event_summaries.list(meter.id, requested)
    result.at_stripe = int(sum(each.aggregated_value for each in listed.data))
    if result.at_stripe != result.units - INCLUDED:
        result.failures.append(f"Stripe's meter says {result.at_stripe}, the events {result.units - INCLUDED}")
    result.failures += [f"{report} is {report.state}: {report.error}" for report in MeterReport.objects.exclude(state="sent")]
