"""Stripe is unavailable for a while: what still works, what is stored, and how long it takes to catch up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from django.test import Client

from billing.models import SubscriptionState, WebhookEvent
from tests.convergence.concurrent_workers import awake
from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.factories.billing import Payer
from tests.support.api import Api
from tests.support.stripe import Stripe, post
from tests.support.workers import Worker

# These are answered from the mirror.
READS = ("/api/billing/subscription", "/api/billing/invoices", "/api/entitlements", "/api/organization", "/api/usage/current")
PAGES = ("/account/", "/account/billing/", "/pricing/")


@dataclass
class Outage:
    """The responses during the outage (number by path and status), and the time until everything was current again."""

    seconds: float = 0.0
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    slowest: float = 0.0
    accepted: int = 0
    early: int = 0
    caught_up_in: float = 0.0
    failures: list[str] = field(default_factory=list)


def run(world: Stripe, start: Callable[[], Worker], *, seconds: float, organizations: int = 3, rounds: int = 3) -> Outage:
    """End every subscription, take Stripe down before the events are out, and request everything `rounds` times within `seconds`."""
    result = Outage()
    payers = [_payer(world) for _ in range(organizations)]
    awake([start()])
    for payer in payers:
        live = world.sdk.subscriptions.list({"customer": payer.customer}).data[0]
        world.sdk.subscriptions.cancel(live.id)
    notices = world.new_events()
    started = time.monotonic()
    world.control("down", on=True, seconds=3600)
    for number in range(rounds):
        for event in notices[number::rounds]:
            result.accepted += post(event).status_code == 200
        for payer in payers:
            _send_requests(result, payer)
        time.sleep(max(0.0, started + seconds * (number + 1) / rounds - time.monotonic()))
    result.seconds = time.monotonic() - started
    result.early = WebhookEvent.objects.filter(event_id__in=[event["id"] for event in notices], state="processed").count()
    world.control("down", on=False)
    back = time.monotonic()
    while WebhookEvent.objects.pending().exists():
        if time.monotonic() - back > 90:
            result.failures.append(f"{WebhookEvent.objects.pending().count()} events still wait 90 s after Stripe is back")
            break
        time.sleep(0.05)
    result.caught_up_in = time.monotonic() - back
    _check_outcome(result, payers, len(notices))
    return result


def _payer(world: Stripe) -> Payer:
    payer = Payer.make(world, OrganizationFactory(owner=UserFactory()), clock=False)
    payer.buy()
    return payer


def _send_requests(result: Outage, payer: Payer) -> None:
    person = Person(payer.organization.memberships.select_related("organization", "user").get())
    api, browser = Api(), Client()
    browser.force_login(person.user)
    for path in READS:
        _record(result, path, partial(api.get, path, by=person))
    for path in PAGES:
        _record(result, path, partial(browser.get, path))
    body = {"planTier": "enterprise", "interval": "month"}
    _record(result, "/api/billing/change-plan", lambda: api.post("/api/billing/change-plan", body, by=person))


def _record(result: Outage, path: str, ask: Callable[[], object]) -> None:
    started = time.monotonic()
    answer = ask()
    result.slowest = max(result.slowest, time.monotonic() - started)
    result.answers[path, answer.status_code] += 1  # type: ignore[attr-defined]


def _check_outcome(result: Outage, payers: list[Payer], notices: int) -> None:
    for (path, status), times in result.answers.items():
        expected = 503 if path.endswith("change-plan") else 200
        if status != expected:
            result.failures.append(f"{path} answered {status} {times} times while Stripe was away")
    if result.accepted != notices:
        result.failures.append(f"{notices - result.accepted} of {notices} deliveries were refused")
    if result.early:
        result.failures.append(f"{result.early} events counted as worked off while nothing could be fetched")
    if WebhookEvent.objects.dead().exists():
        result.failures.append("there are dead letters")
    for payer in payers:
        # Invalidations by the worker reach this process's cache a moment after the commit.
        until = time.monotonic() + 10
        while not _ended(payer) and time.monotonic() < until:
            time.sleep(0.05)
        if not _ended(payer):
            result.failures.append(f"{payer.organization.name} did not catch up")


def _ended(payer: Payer) -> bool:
    return payer.plan == "free" and SubscriptionState.objects.get(organization=payer.organization).status == "canceled"
