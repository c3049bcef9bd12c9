"""The product through a history, as its deliveries reach it: the real endpoint, the real queue, the real workers' code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any

from django.db import connection

from accounts.models import Organization
from accounts.principals import cache
from billing.models import BillingAccount, SubscriptionState
from entitlements.cache import CACHE
from entitlements.manager import EntitlementsManager
from tests.convergence import reconciling, rows, standing
from tests.convergence.history import History, Step
from tests.support.stripe import jobs, post, run

Event = dict[str, Any]
# Seconds after the fact, by the organization's clock, in which the news of a step are worked off.
GLANCE = 90
LISTENING = ("billing.tasks.apply_events", "billing.tasks.sync")


@dataclass
class Chaos:
    """How deliveries go wrong. Without any of it they come in order, once, and at once."""

    seed: int = 0
    copies: int = 1
    drop: float = 0.0
    shuffle: bool = False
    late: bool = False  # up to many steps after the fact
    afterwards: bool = False  # all of them when everything is over


@dataclass
class World:
    """How it ended, and what was wrong on the way. `rows` are a function of Stripe's present truth; `history` is not."""

    rows: rows.Rows = field(default_factory=dict)
    history: rows.Rows = field(default_factory=dict)  # what there was on the way, as far as it was seen
    deliveries: int = 0
    dropped: int = 0
    checks: int = 0
    wrong: list[str] = field(default_factory=list)


def play(history: History, chaos: Chaos) -> World:
    """Everything that was told of `history`, as `chaos` has it, then a reconciliation."""
    rows.forget()
    CACHE.reset()
    cache.reset()
    world, dice = World(), Random(chaos.seed)
    for number, (step, events) in enumerate(deliveries(history, chaos, dice, world)):
        arrive(history, step)
        began = _moment()
        for event in events:
            assert post(event).status_code == 200
            world.deliveries += 1
            if dice.random() < 0.2:
                work_off()
        work_off()
        if step.night:
            reconciling.reconcile()
            work_off()
        _check(history, step, number, world, since=None if chaos == Chaos() else began)
    reconciling.reconcile()
    work_off()
    _check(history, history.steps[-1], len(history.steps), world)
    _check_past(history, world)
    if chaos == Chaos():
        _check_record(history, world)
    world.rows = ending()
    world.history = rows.grants() | rows.notices()
    return world


def arrive(history: History, step: Step) -> None:
    """Stripe is as it was then, and the product as it made itself: with the customers that it had asked for."""
    history.scene.restore(step.photograph)
    for organization_id, customer in step.joined:
        made = {"stripe_customer_id": customer, "customer_deleted_at": None}
        BillingAccount.objects.update_or_create(organization_id=organization_id, defaults=made)


def ending() -> rows.Rows:
    """Everything that is a function of Stripe's present truth."""
    return rows.dump() | rows.standing_grants() | rows.inbox()


def work_off() -> None:
    """What the workers do with news. What the product does at Stripe by itself is left out: here Stripe's history is given."""
    while found := jobs():
        for number, name, arguments in found:
            with connection.cursor() as cursor:
                cursor.execute("DELETE FROM procrastinate_jobs WHERE id = %s", [number])
            if name in LISTENING:
                run(name, **arguments)


def deliveries(history: History, chaos: Chaos, dice: Random, world: World) -> Iterator[tuple[Step, list[Event]]]:
    """What arrives while Stripe is as it was after each step."""
    backlog: list[Event] = []
    for step in history.steps:
        for event in step.events:
            if dice.random() < chaos.drop:
                world.dropped += 1
            else:
                backlog += [event] * chaos.copies
        if chaos.afterwards:
            yield step, []
            continue
        if chaos.shuffle:
            dice.shuffle(backlog)
        some = dice.randrange(len(backlog) + 1) if chaos.late else len(backlog)
        arriving, backlog = backlog[:some], backlog[some:]
        yield step, arriving
    if chaos.shuffle:
        dice.shuffle(backlog)
    yield history.steps[-1], backlog


def _check(history: History, step: Step, number: int, world: World, *, since: datetime | None = None) -> None:
    """Nobody has what no subscription stands for, and nobody lacks what one does: as far as the product was told, and all where it was."""
    whom = history.scene.parties if step.actor is None or number == len(history.steps) else [history.scene.parties[step.actor]]
    for party in whom if since is None else history.scene.parties:
        organization = Organization.objects.get(pk=party.organization_id)
        # Late news leave it where Stripe was; whoever was synced during this step has seen Stripe as it is.
        if since and not BillingAccount.objects.filter(organization=organization, synced_at__gt=since).exists():
            continue
        CACHE.reset()
        entitled = EntitlementsManager(organization).entitlements().plan
        world.checks += 1
        if entitled != step.expected[party.organization_id]:
            world.wrong.append(
                f"step {number} ({step.name}): {organization.name} has {entitled}, stands for {step.expected[party.organization_id]}"
            )


def _check_past(history: History, world: World) -> None:
    """No grant on record for a time before its subscription began or after it was over, and no two at a time for one subscription."""
    for party in history.scene.parties:
        for state in SubscriptionState.objects.filter(organization_id=party.organization_id):
            last = None
            for grant in state.organization.grants.filter(reference=state.stripe_subscription_id).order_by("starts_at", "id"):
                world.checks += 1
                if grant.starts_at == grant.ends_at:
                    continue
                # A test clock stands still while the product's goes on from there: within seconds of each other is at once.
                over = state.ended_at and (grant.ends_at is None or grant.ends_at - state.ended_at > timedelta(seconds=GLANCE))
                if grant.starts_at < state.started_at or over:
                    world.wrong.append(
                        f"{grant} of {state}: {grant.starts_at} to {grant.ends_at}, but it was {state.started_at} to {state.ended_at}"
                    )
                if last and (last.ends_at is None or last.ends_at > grant.starts_at):
                    world.wrong.append(f"{last} until {last.ends_at} and {grant} from {grant.starts_at} at a time, by {state}")
                last = grant


def _check_record(history: History, world: World) -> None:
    """Told in order, the grants on record say of every former moment what was true then: a support question has one answer."""
    for party in history.scene.parties:
        grants = list(Organization.objects.get(pk=party.organization_id).grants.select_related("plan_version"))
        for step, after in pairwise(history.steps):
            moment = step.moments[party.organization_id]
            if after.moments[party.organization_id] - moment < 2 * GLANCE:
                continue
            world.checks += 1
            at = datetime.fromtimestamp(moment + GLANCE, UTC)
            held = [grant.plan_version.plan for grant in grants if grant.starts_at <= at and (grant.ends_at is None or grant.ends_at > at)]
            had = max(held, key=standing.RANKS.index, default="free")
            wanted = step.expected[party.organization_id]
            if had != wanted:
                world.wrong.append(f"at {at:%Y-%m-%d %H:%M} ({step.name}) {party.organization_id} had {wanted}, but {had} is on record")


def _moment() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
        return moment
