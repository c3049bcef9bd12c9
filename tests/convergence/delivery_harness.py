"""Play a history to the product through the real endpoint, the real queue and the workers' code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any

from django.db import connection

from accounts.models import Organization
from accounts.principal_cache import cache
from billing.models import BillingAccount, SubscriptionState
from entitlements.cache import CACHE
from entitlements.manager import EntitlementsManager
from tests.convergence import expected_access, reconciling, rows
from tests.convergence.announcements import Announcements
from tests.convergence.history import History, Step
from tests.convergence.rows import Rows
from tests.convergence.stripe_fixture import Gift
from tests.support.stripe import jobs, post, run

Event = dict[str, Any]
# Seconds after a step, by the organization's clock, in which its events are processed.
GLANCE = 90
LISTENING = ("billing.process_events", "billing.sync_customer")


@dataclass
class Chaos:
    """How deliveries go wrong. Without any of it they arrive in order, once and immediately."""

    seed: int = 0
    copies: int = 1
    drop: float = 0.0
    shuffle: bool = False
    late: bool = False  # delay in steps
    afterwards: bool = False  # deliver everything after the end


@dataclass
class World:
    """The final state, and mismatches on the way. `rows` depend only on Stripe's current state; `history` does not."""

    rows: Rows = field(default_factory=dict)
    history: Rows = field(default_factory=dict)  # observed access on the way
    deliveries: int = 0
    dropped: int = 0
    checks: int = 0
    announced: int = 0  # payments that were compared with their announcements
    failures: list[str] = field(default_factory=list)


def play(history: History, chaos: Chaos) -> World:
    """Deliver the events of `history` as `chaos` describes, then reconcile."""
    rows.forget()
    CACHE.reset()
    cache.reset()
    world, rng, announced = World(), Random(chaos.seed), Announcements()
    for number, (step, events) in enumerate(deliveries(history, chaos, rng, world)):
        arrive(history, step)
        started = _moment()
        for event in events:
            assert post(event).status_code == 200
            world.deliveries += 1
            if rng.random() < 0.2:
                run_pending_jobs()
        run_pending_jobs()
        if step.night:
            reconciling.reconcile()
            run_pending_jobs()
        _check(history, step, number, world, since=None if chaos == Chaos() else started)
        if chaos == Chaos():
            announced.follow(history, step)
    reconciling.reconcile()
    run_pending_jobs()
    _check(history, history.steps[-1], len(history.steps), world)
    _check_past(history, world)
    if chaos == Chaos():
        _check_record(history, world)
    world.announced, world.checks = announced.compared, world.checks + announced.compared
    world.failures += announced.failures
    world.rows = ending()
    world.history = rows.grants() | rows.notices()
    return world


def arrive(history: History, step: Step) -> None:
    """Restore Stripe's state of that time, and the product's own knowledge of the customers that it had requested."""
    history.scenario.restore(step.state)
    for organization_id, customer in step.joined:
        created = {"stripe_customer_id": customer, "customer_deleted_at": None}
        BillingAccount.objects.update_or_create(organization_id=organization_id, defaults=created)
    for organization_id, gift in step.gifts:
        _apply_gift(Organization.objects.get(pk=organization_id), gift)


def _apply_gift(organization: Organization, gift: Gift) -> None:
    """Add the grant as staff did, unless it exists, and end it where they ended it."""
    manager = EntitlementsManager(organization)
    grant = organization.grants.filter(reference=gift.reference).first()
    if grant is None:
        grant = manager.grant(
            gift.plan,
            gift.source,
            reason="outage",
            reference=gift.reference,
            starts_at=_at(gift.starts_at),
            ends_at=_at(gift.ends_at) if gift.ends_at else None,
        )
    if gift.ended_at and grant.ends_at == (_at(gift.ends_at) if gift.ends_at else None):
        manager.end_grant(grant, reason="given by mistake", at=_at(gift.ended_at))


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def ending() -> rows.Rows:
    """Return all rows that depend only on Stripe's current state."""
    return rows.dump() | rows.active_grants() | rows.inbox()


def run_pending_jobs() -> None:
    """Run the workers' jobs for events. What the product does at Stripe itself is omitted, because Stripe's history is given."""
    while result := jobs():
        for number, name, arguments in result:
            with connection.cursor() as cursor:
                cursor.execute("DELETE FROM procrastinate_jobs WHERE id = %s", [number])
            if name in LISTENING:
                run(name, **arguments)


def deliveries(history: History, chaos: Chaos, rng: Random, world: World) -> Iterator[tuple[Step, list[Event]]]:
    """Deliver what arrives while Stripe is in its state after each step."""
    backlog: list[Event] = []
    for step in history.steps:
        for event in step.events:
            if rng.random() < chaos.drop:
                world.dropped += 1
            else:
                backlog += [event] * chaos.copies
        if chaos.afterwards:
            yield step, []
            continue
        if chaos.shuffle:
            rng.shuffle(backlog)
        some = rng.randrange(len(backlog) + 1) if chaos.late else len(backlog)
        arriving, backlog = backlog[:some], backlog[some:]
        yield step, arriving
    if chaos.shuffle:
        rng.shuffle(backlog)
    yield history.steps[-1], backlog


def _check(history: History, step: Step, number: int, world: World, *, since: datetime | None = None) -> None:
    """Check that access equals that of the subscriptions, as far as the product was notified, and everywhere after the end."""
    whom = history.scenario.tenants if step.actor is None or number == len(history.steps) else [history.scenario.tenants[step.actor]]
    for tenant in whom if since is None else history.scenario.tenants:
        organization = Organization.objects.get(pk=tenant.organization_id)
        # Late events leave the product in an older state; a sync during this step has seen the current one.
        if since and not BillingAccount.objects.filter(organization=organization, synced_at__gt=since).exists():
            continue
        CACHE.reset()
        entitled = EntitlementsManager(organization).entitlements().plan
        world.checks += 1
        if entitled != step.expected[tenant.organization_id]:
            world.failures.append(
                f"step {number} ({step.name}): {organization.name} has {entitled}, stands for {step.expected[tenant.organization_id]}"
            )


def _check_past(history: History, world: World) -> None:
    """Check that no grant lies outside its subscription's life, and that no two grants of one subscription overlap."""
    for tenant in history.scenario.tenants:
        for state in SubscriptionState.objects.filter(organization_id=tenant.organization_id):
            last = None
            for grant in state.organization.grants.filter(reference=state.stripe_subscription_id).order_by("starts_at", "id"):
                world.checks += 1
                if grant.starts_at == grant.ends_at:
                    continue
                # A test clock stands still while the product's time continues, so times within seconds are equal.
                over = state.ended_at and (grant.ends_at is None or grant.ends_at - state.ended_at > timedelta(seconds=GLANCE))
                if grant.starts_at < state.started_at or over:
                    world.failures.append(
                        f"{grant} of {state}: {grant.starts_at} to {grant.ends_at}, but it was {state.started_at} to {state.ended_at}"
                    )
                if last and (last.ends_at is None or last.ends_at > grant.starts_at):
                    world.failures.append(f"{last} until {last.ends_at} and {grant} from {grant.starts_at} at a time, by {state}")
                last = grant


def _check_record(history: History, world: World) -> None:
    """Check that after delivery in order, the recorded grants state for every former time what was true then."""
    for tenant in history.scenario.tenants:
        grants = list(Organization.objects.get(pk=tenant.organization_id).grants.select_related("plan_version"))
        for step, after in pairwise(history.steps):
            moment = step.moments[tenant.organization_id]
            if after.moments[tenant.organization_id] - moment < 2 * GLANCE:
                continue
            world.checks += 1
            at = _at(moment + GLANCE)
            held = [grant.plan_version.plan for grant in grants if grant.starts_at <= at and (grant.ends_at is None or grant.ends_at > at)]
            had = max(held, key=expected_access.RANKS.index, default="free")
            expected = step.expected[tenant.organization_id]
            if had != expected:
                world.failures.append(
                    f"at {at:%Y-%m-%d %H:%M} ({step.name}) {tenant.organization_id} had {expected}, but {had} is on record"
                )


def _moment() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
        return moment
