"""Organizations through many months on test clocks: the overage on their invoices, compared with a calculation from the raw events."""

from __future__ import annotations

import calendar
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

from django.db import connection

from billing.manager import BillingManager
from billing.models import Invoice, MeterReport, PlanPrice
from contextmcp.common.clock import now
from tests.factories.accounts import OrganizationFactory, UserFactory
from tests.factories.billing import Payer, price_of
from tests.support.stripe import DAY, Stripe, post_through_wsgi, run, work
from usage.ingest.event_parsing import EventBody
from usage.tracker import UsageTracker

# Deliberately repeated here: this is what a customer reads on the pricing page.
INCLUDED, CENTS = 1000, 2
CAPS = (500, 2_000, 1_000_000)


@dataclass
class Year:
    organizations: int = 0
    months: int = 0
    events: int = 0
    lines: int = 0
    billed: int = 0  # minor units
    capped: int = 0
    failures: list[str] = field(default_factory=list)


@dataclass
class Tenant:
    """One organization: its interval, its overage cap per month, and its start."""

    payer: Payer
    interval: str
    cap: int
    began: int
    rng: Random
    number: int = 0

    def month(self, number: int) -> int:
        """Return the start of month n: the day of the start, or the last day of a shorter month."""
        first = datetime.fromtimestamp(self.began, UTC)
        years, month = divmod(first.month - 1 + number, 12)
        day = min(first.day, calendar.monthrange(first.year + years, month + 1)[1])
        return int(first.replace(year=first.year + years, month=month + 1, day=day).timestamp())


def play(world: Stripe, numbers: Sequence[int], months: int, seed: int) -> Year:
    """Play every month: events at any time in it, some reported late, and the rest after its end, while the invoice is a draft.

    Half of the months are interrupted to report overage; in the others it is reported at the end. The draft is finalized and paid on the
    way to the next stop. All choices follow from the organization's number.
    """
    year = Year(len(numbers), months)
    tenants = _tenants(world, numbers, seed)
    for month in range(months):
        stopping = [tenant for tenant in tenants if tenant.rng.random() < 0.5]
        for tenant in stopping:
            _go_on(tenant, month)
        _hear(world, stopping)
        for tenant in stopping:
            _use(tenant, month, year)
        run("billing.report_overage", timestamp=0)
        for tenant in tenants:
            world.advance(tenant.payer.clock, to=tenant.month(month + 1) + 300)
        _hear(world, tenants)
        for tenant in tenants:
            if tenant not in stopping:
                _use(tenant, month, year)
            _use_late(tenant, month, year)
        run("billing.report_overage", timestamp=0)
    for tenant in tenants:
        world.advance(tenant.payer.clock, to=tenant.month(months) + 7500)
    _hear(world, tenants)
    for tenant in tenants:
        _compare(world, tenant, months, year)
    year.failures += [f"{report} is {report.state}: {report.error}" for report in MeterReport.objects.exclude(state="sent")]
    return year


def _tenants(world: Stripe, numbers: Sequence[int], seed: int) -> list[Tenant]:
    tenants = [_tenant(world, number, Random(f"{seed}:{number}")) for number in numbers]
    _hear(world, tenants)
    for tenant in tenants:
        BillingManager(tenant.payer.organization).set_overage(enabled=True, cap=tenant.cap)
        tenant.began = int(tenant.payer.state.anchor.timestamp())
    _hear(world, tenants)
    return tenants


def _tenant(world: Stripe, number: int, rng: Random) -> Tenant:
    organization = OrganizationFactory(name=f"Party {number}", owner=UserFactory())
    payer = Payer.make(world, organization, clock=False)
    # On any day of a month, so that some start on the 29th, 30th or 31st.
    started = int(datetime.now(UTC).timestamp()) + rng.randrange(28 * DAY)
    payer.clock = world.attach_test_clock(payer.customer, at=started)
    interval = rng.choice(["month", "month", "year"])
    world.subscribe(payer.customer, price_of("pro", interval))
    return Tenant(payer, interval, rng.choice(CAPS), started, rng)


def _hear(world: Stripe, tenants: list[Tenant]) -> None:
    for event in world.new_events():
        assert post_through_wsgi(event) == 200
    # The first job does all queued work of a subject, so the other jobs would do nothing.
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM procrastinate_jobs later USING procrastinate_jobs first WHERE later.id > first.id "
            "AND later.task_name = first.task_name AND later.args = first.args AND later.status = 'todo' AND first.status = 'todo'"
        )
    work(limit=50 * (len(tenants) + 1))
    for tenant in tenants:
        tenant.payer.organization.refresh_from_db()


def _go_on(tenant: Tenant, month: int) -> None:
    """Advance to the middle of the month, or nearly to its end."""
    start, end = tenant.month(month), tenant.month(month + 1)
    middle = start + int((end - start) * tenant.rng.uniform(0.3, 0.95))
    tenant.payer.world.advance(tenant.payer.clock, to=max(middle, start + 7300))


def _use(tenant: Tenant, month: int, year: Year) -> None:
    """Use more than the allowance in most months."""
    start = tenant.month(month)
    present = int(now(tenant.payer.organization).timestamp())
    expected = tenant.rng.choice([200, 990, 1000, 1001, 1100, 1249, 1260, 2300])
    _record(tenant, year, [(tenant.rng.randrange(start, present), amount) for amount in _parts(tenant.rng, expected)])


def _use_late(tenant: Tenant, month: int, year: Year) -> None:
    """Record events after the start of the next month: of the last hours of the old one, of its last instant, and of the new one."""
    end = tenant.month(month + 1)
    moments = [end - tenant.rng.randrange(1, 7200), end - 1, end, end + 60]
    _record(tenant, year, [(moment, tenant.rng.randrange(1, 40)) for moment in moments])


def _parts(rng: Random, expected: int) -> list[int]:
    cuts = sorted(rng.randrange(1, expected) for _ in range(4))
    parts = [after - before for before, after in zip([0, *cuts], [*cuts, expected], strict=True)]
    return [*(part for part in parts if part), 7, -7]


def _record(tenant: Tenant, year: Year, message: list[tuple[int, int]]) -> None:
    bodies: list[Any] = []
    for moment, amount in message:
        tenant.number += 1
        at = datetime.fromtimestamp(moment, UTC)
        reason = "counted twice" if amount < 0 else None
        bodies.append(EventBody("sessions", amount, f"{tenant.number}", at, reason))
    tenant.rng.shuffle(bodies)
    outcomes = UsageTracker(tenant.payer.organization).record_events(bodies)
    year.failures += [f"an event was refused: {one.error}" for one in outcomes if one.error]
    year.events += len(bodies)


def _compare(world: Stripe, tenant: Tenant, months: int, year: Year) -> None:
    """Return the overage at Stripe and in our own list of invoices."""
    metered = set(PlanPrice.objects.filter(interval=PlanPrice.OVERAGE).values_list("stripe_price_id", flat=True))
    listed = world.sdk.invoices.list({"customer": tenant.payer.customer, "limit": 100}).auto_paging_iter()
    at_stripe = {invoice.id: [line for line in invoice.lines.data if _price(line) in metered] for invoice in listed}
    billed: dict[int, int] = {}
    for invoice, lines in at_stripe.items():
        for line in lines:
            billed[line.period.start] = billed.get(line.period.start, 0) + line.amount
            year.lines += 1
        ours = Invoice.objects.filter(stripe_invoice_id=invoice).first()
        if ours is None or ours.status != "paid":
            year.failures.append(f"{tenant.payer.organization.name}: {invoice} is {ours and ours.status} here")
    for month in range(months):
        expected = _owed(tenant, month, year)
        actual = billed.pop(tenant.month(month), 0)
        year.billed += actual
        if actual != expected:
            year.failures.append(
                f"{tenant.payer.organization.name} ({tenant.interval}, cap {tenant.cap}) month {month}: billed {actual}, events {expected}"
            )
    if odd := {start: amount for start, amount in billed.items() if amount}:
        year.failures.append(f"{tenant.payer.organization.name}: billed for months that are none: {odd}")


def _price(line: Any) -> str | None:
    return line.pricing.price_details.price if line.pricing and line.pricing.price_details else None


def _owed(tenant: Tenant, month: int, year: Year) -> int:
    """Calculate the overage from the rows of the events table, without other code of the product."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT amount, occurred_at FROM usage_events WHERE organization_id = %s AND feature = 'sessions'",
            [tenant.payer.organization.pk],
        )
        rows = cursor.fetchall()
    start, end = tenant.month(month), tenant.month(month + 1)
    used = sum(amount for amount, at in rows if start <= math.floor(at.timestamp()) < end)
    over: int = max(0, used - INCLUDED)
    year.capped += over * CENTS > tenant.cap
    return min(over, tenant.cap // CENTS) * CENTS
