"""The customers that `tests/browser/test_support.py` asks about, in the database of a running stack.

Run as `python -m tests.support.support_cases` with the environment of the stack. Prints a JSON object with the identifiers.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import django

DAY = timedelta(days=1)


def main() -> None:
    django.setup()
    # Their imports need the settings.
    from accounts.models import User
    from contextmcp.common.clock import now

    operator = User.objects.get(email=os.environ["CONTEXTMCP_ADMIN_EMAIL"])
    known: dict[str, Any] = {"minute": (now() - DAY).replace(hour=10, minute=31, second=0, microsecond=0).isoformat()}
    for make in (_people, _payments, _messages):
        known |= make(operator, known)
    json.dump(known, sys.stdout)


def _organization(name: str, email: str) -> Any:
    from tests.factories.accounts import OrganizationFactory, Person, UserFactory

    organization = OrganizationFactory(name=name, owner=UserFactory(email=email, name=email.partition("@")[0].title()))
    return Person(organization.memberships.select_related("organization", "user").get())


def _people(operator: Any, known: dict[str, Any]) -> dict[str, Any]:
    """Create members, invitations, an app and staff's own changes."""
    import httpx
    from django.conf import settings

    from accounts.manager import AuthManager
    from accounts.models import Invitation
    from contextmcp.common.clock import now
    from entitlements.manager import EntitlementsManager
    from tests.factories.accounts import MembershipFactory, UserFactory, key_of
    from tests.factories.oauth import connect_app
    from usage.models import RefusalSummary

    owner = _organization("Northwind Traders", "nancy@northwind.example")
    northwind = owner.organization
    EntitlementsManager(northwind).grant("pro", "staff", reason="Partner contract 7", actor=operator)
    EntitlementsManager(northwind).override("projects", 40, reason="Ticket 4711", actor=operator, ends_at=now() + 30 * DAY)
    MembershipFactory(organization=northwind, user=UserFactory(email="adam@northwind.example"), role="admin")
    AuthManager(northwind).invite(owner.caller, "ingrid@northwind.example", "member")
    Invitation.objects.filter(email="ingrid@northwind.example").update(expires_at=now() - DAY)
    connect_app(owner.membership)
    for name, calls in (("Production", 40), ("Staging", 2)):
        raw = key_of(owner.membership, ["usage:read", "usage:write"], name=name)
        headers = {"Authorization": f"Bearer {raw}"}
        body = {"feature": "sessions", "amount": calls}
        answer = httpx.post(f"{settings.PUBLIC_URL}/api/usage/authorize", json=body, headers=headers, timeout=10)
        assert answer.status_code == 200, answer.text
    # No request can be refused in the past.
    RefusalSummary.objects.create(
        organization=northwind, minute=known["minute"], code="rate_limited", feature="context_queries", tool="search_notes", count=17
    )
    tailspin = _organization("Tailspin Toys", "tara@tailspin.example")
    MembershipFactory(organization=tailspin.organization, user=UserFactory(email="uma@tailspin.example"), role="admin")
    leaked = key_of(tailspin.membership, ["usage:read"], name="Deploy bot")
    for name, email in (("Litware", "liz@litware.example"), ("Wingtip", "walt@wingtip.example"), ("Proseware", "paul@proseware.example")):
        person = _organization(name, email)
    AuthManager(person.organization).close(operator, reason="Asked for by the owner")
    return {"northwind": str(northwind.pk), "leaked": leaked}


def _payments(operator: Any, known: dict[str, Any]) -> dict[str, Any]:
    """Create a subscription in trial, a paid one, and one whose card was declined twice."""
    from billing.models import Invoice
    from tests.factories.billing import Payer, price_of

    stripe = _live_stripe()
    fabrikam = Payer.make(stripe, _organization("Fabrikam", "fay@fabrikam.example").organization)
    contoso = Payer.make(stripe, _organization("Contoso", "carl@contoso.example").organization, clock=False)
    adventure = Payer.make(stripe, _organization("Adventure Works", "ada@adventure.example").organization, clock=False)
    for payer in (fabrikam, adventure):
        payer.buy()
    stripe.subscribe(contoso.customer, price_of(), trial_period_days=14)
    _until(lambda: all(each.plan == "pro" for each in (fabrikam, adventure, contoso)), "the subscriptions arrive")
    fabrikam.declines()
    fabrikam.later(32)
    _until(lambda: fabrikam.state.status == "past_due", "the renewal is declined")
    renewal = fabrikam.organization.invoices.filter(status="open", next_payment_attempt__isnull=False)
    _until(renewal.exists, "the next attempt is known")
    stripe.advance(fabrikam.clock, to=int(renewal.get().next_payment_attempt.timestamp()) + 60)
    _until(renewal.filter(attempt_count__gte=2).exists, "the second attempt")
    _until(lambda: Invoice.objects.filter(organization=adventure.organization, status="paid").exists(), "the paid invoice")
    return {"customer": adventure.customer, "invoice": Invoice.objects.get(organization=adventure.organization).number}


def _messages(operator: Any, known: dict[str, Any]) -> dict[str, Any]:
    """Create an email that the recipient's server refuses, an endpoint that fails, and an event that could not be processed."""
    from billing.models import WebhookEvent
    from contextmcp.common.clock import now
    from contextmcp.common.models import OutgoingEmail
    from usage.models import WebhookDelivery, WebhookEndpoint

    northwind = known["northwind"]
    endpoint = WebhookEndpoint.objects.create(
        organization_id=northwind,
        url="https://hooks.northwind.example/usage",
        event_types=["usage.alert"],
        secret=b"x",
        failing_since=now() - DAY,
    )
    WebhookDelivery.objects.create(endpoint=endpoint, event_type="usage.alert", body="{}", state="failed", last_error="timeout")
    OutgoingEmail.objects.create(
        organization_id=northwind,
        category="usage_alert",
        subject="80% of your sessions are used",
        recipients=["nancy@northwind.example"],
        from_email="billing@contextmcp.example",
        text="80% of your sessions are used.",
        attempts=3,
        last_error="450 4.2.2 The mailbox is full",
        next_attempt_at=now() + DAY,
        expires_at=now() + 3 * DAY,
    )
    event = WebhookEvent.objects.create(
        event_id="evt_1SupportReplay",
        type="customer.updated",
        subject=known["customer"],
        payload={"id": "evt_1SupportReplay", "object": "event", "type": "customer.updated"},
        state="dead",
        attempts=8,
        error="StripeUnavailable: no answer within 10 s",
    )
    return {"event": event.event_id}


def _live_stripe() -> Any:
    """Return the stack's simulator. It sends its events to the stack's own web server."""
    import requests
    import stripe
    from django.conf import settings

    from tests.support.stripe import Stripe

    class LiveStripe(Stripe):
        def __init__(self) -> None:
            addresses: Any = {"api": settings.STRIPE_API_BASE}
            self.sdk = stripe.StripeClient(settings.STRIPE_SECRET_KEY, base_addresses=addresses).v1
            self.session = requests.Session()

        @property
        def url(self) -> str:
            return str(settings.STRIPE_API_BASE)

        def deliver(self, events: Any = None) -> int:
            return 0

    return LiveStripe()


def _until(ready: Callable[[], Any], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain: {what}, {datetime.now(UTC)}"
        time.sleep(0.1)


if __name__ == "__main__":
    main()
