"""Sample rows for the previews of emails. Call it in a transaction that is rolled back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from accounts import account_emails, emails, key_emails, member_emails
from accounts.models import ApiKey, Invitation, Membership, OAuthGrant, Organization, User
from accounts.roles import Role
from billing.models import Adjustment, BillingAccount, BillingNotification, Invoice, SubscriptionState
from billing.notifications import content, schedule
from contextmcp.common.emails import EmailContent
from entitlements.catalog import CATALOG
from entitlements.manager import EntitlementsManager
from usage.alerts import email as alert_email
from usage.models import UsageAlert, WebhookEndpoint
from usage.webhooks import endpoint_health

Content = Callable[[], EmailContent | None]

NOW = datetime(2026, 12, 10, 14, 37, tzinfo=UTC)
MONTH, YEAR = timedelta(days=31), timedelta(days=365)
CARD = {"id": "pm_sample", "type": "card", "brand": "visa", "last4": "4242", "exp_month": 1, "exp_year": 2027}
LINK = "https://example.com/token"


def _organization() -> Organization:
    found = Organization.objects.filter(slug="email-samples").first()
    if found is not None:
        return found
    organization = Organization.objects.create(name="Acme", slug="email-samples", email="billing@acme.example")
    owner = User.objects.create(email="olga@email-samples.example", name="Olga Owner")
    Membership.objects.create(organization=organization, user=owner, role=Role.OWNER)
    return organization


def _member(role: Role) -> Membership:
    user, _ = User.objects.get_or_create(email="grace@email-samples.example", defaults={"name": "Grace Hopper"})
    member, _ = Membership.objects.get_or_create(organization=_organization(), user=user, defaults={"role": role})
    member.role = role
    return member


def account() -> Iterator[tuple[str, Content]]:
    """Yield the emails about a user's own account."""
    context = {
        "email": "ada@example.com",
        "activate_url": LINK,
        "password_reset_url": LINK,
        "undo_url": LINK,
        "from_email": "ada@example.com",
        "to_email": "ada@example.org",
        "deleted_email": "ada@example.net",
        "timestamp": NOW,
        "ip": "203.0.113.7",
        "user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0",
    }
    for name in account_emails.RENDERERS:
        yield f"account.{name}", partial(account_emails.render, name, context)
    yield "account.welcome", partial(account_emails.welcome, "/welcome/")
    yield "account.email_changed_by_staff", partial(emails.email_changed_by_staff, "ada@example.com", "ada@example.org")
    yield "account.second_factor_removed_by_staff", emails.second_factor_removed_by_staff


def organization() -> Iterator[tuple[str, Content]]:
    """Yield the emails about members, keys and apps of an organization."""
    acme = _organization()
    owner = acme.memberships.get(role=Role.OWNER)
    invitation = Invitation(organization=acme, email="grace@example.com", role=Role.MEMBER, invited_by=owner.user, expires_at=NOW + MONTH)
    yield "organization.invitation", partial(emails.invitation_content, invitation, "token")
    without_inviter = Invitation(organization=acme, email="grace@example.com", role=Role.VIEWER, expires_at=NOW + MONTH)
    yield "organization.invitation_by_support", partial(emails.invitation_content, without_inviter, "token")
    yield "organization.role_notice", partial(emails.role_notice_content, _member(Role.ADMIN), owner.user)
    yield "organization.role_notice_by_support", partial(emails.role_notice_content, _member(Role.ADMIN), None)
    yield "organization.member_joined", partial(member_emails.member_joined_content, _member(Role.MEMBER))
    yield "organization.closed", partial(emails.closed_content, acme)
    key = ApiKey(organization=acme, name="CI", public_id="abcdefghijkl", environment="live", expires_at=NOW + timedelta(days=7))
    yield "organization.key_expiring", partial(key_emails.expiring_content, key)
    yield "organization.key_revoked", partial(key_emails.revoked_content, key)
    yield "organization.all_keys_revoked", partial(key_emails.all_revoked_content, acme)
    grant = OAuthGrant(membership=owner, client_name="Claude")
    yield "organization.app_connected", partial(key_emails.app_connected_content, grant)


def usage() -> Iterator[tuple[str, Content]]:
    """Yield the emails about usage and webhooks."""
    acme = _organization()
    feature = CATALOG.main_meter.name if CATALOG.main_meter else CATALOG.features[0].name
    values: dict[str, Any] = {"organization": acme, "feature": feature, "included": 1000, "occurred_at": NOW, "period_end": NOW + MONTH}
    for threshold in (50, 80, 100):
        alert = UsageAlert(kind=f"threshold_{threshold}", used=10 * threshold, **values)
        yield f"usage.threshold_{threshold}", partial(alert_email.render, alert)
    gauge = next((each.name for each in CATALOG.features if each.kind == "gauge"), feature)
    yield (
        "usage.threshold_of_a_gauge",
        partial(alert_email.render, UsageAlert(kind="threshold_80", used=800, **{**values, "feature": gauge})),
    )
    spike = UsageAlert(kind=UsageAlert.Kind.SPIKE, used=4321, hour=NOW.replace(minute=0), baseline=12.0, **values)
    yield "usage.spike", partial(alert_email.render, spike)
    endpoint = WebhookEndpoint(organization=acme, url="https://hooks.example.com/contextmcp")
    yield "usage.webhook_endpoint_disabled", partial(endpoint_health.notice, endpoint, "The endpoint returned 410 Gone.")


def billing() -> Iterator[tuple[str, Content]]:
    """Yield the emails about payments and subscriptions."""
    acme = _organization()
    plan = next(plan for plan in CATALOG.plans if plan.prices)
    after = CATALOG.plans[-1]
    version = EntitlementsManager.version(plan.name)
    price = plan.prices[0]
    BillingAccount.objects.create(organization=acme, stripe_customer_id="cus_sample", payment_method=CARD, currency=price.currency)

    def state(name: str, **fields: Any) -> SubscriptionState:
        defaults: dict[str, Any] = {
            "stripe_customer_id": "cus_sample",
            "status": "active",
            "plan_version": version,
            "interval": "month",
            "currency": price.currency,
            "unit_amount": price.amount,
            "started_at": NOW - YEAR,
            "anchor": NOW - YEAR,
            "current_period_start": NOW - MONTH / 2,
            "current_period_end": NOW + MONTH / 2,
        }
        return SubscriptionState.objects.create(organization=acme, stripe_subscription_id=f"sub_{name}", **{**defaults, **fields})

    def email(kind: str, object_id: str, transition: object = "", **details: str) -> tuple[str, Content]:
        text = transition.isoformat() if isinstance(transition, datetime) else str(transition)
        row = BillingNotification(organization=acme, kind=kind, object_id=object_id, transition=text, details=details)
        return f"billing.{kind}", partial(content.render, row)

    amounts = {"currency": price.currency, "subtotal": price.amount, "total": price.amount, "amount_due": price.amount, "tax": 144}
    lines = [{"description": f"1 x {plan.title}", "amount": price.amount - 144}]
    common = {
        "organization": acme,
        "created_at": NOW,
        "hosted_url": LINK,
        "pdf_url": LINK,
        "number": "ACME-0007",
        "lines": lines,
        **amounts,
    }
    Invoice.objects.create(
        stripe_invoice_id="in_paid", status="paid", paid_at=NOW, amount_paid=price.amount, amount_remaining=0, discount=100, **common
    )
    Invoice.objects.create(
        stripe_invoice_id="in_open",
        stripe_subscription_id="sub_past_due",
        status="open",
        amount_paid=0,
        amount_remaining=price.amount,
        **common,
    )
    refund = {"organization": acme, "kind": "refund", "stripe_id": "re_1", "status": "succeeded", "created_at": NOW}
    Adjustment.objects.create(stripe_invoice_id="in_paid", amount=price.amount, currency=price.currency, **refund)
    yield email("receipt", "in_paid", "paid")
    yield email("refund", "re_1", "succeeded")
    state("past_due", status="past_due", past_due_since=NOW, grace_until=NOW + timedelta(days=7))
    for kind in ("dunning_started", "dunning_halfway", "dunning_last_day", "dunning_over"):
        yield email(kind, "sub_past_due", NOW)
    trial_end = NOW + timedelta(days=14)
    state("trial", status="trialing", started_at=NOW, trial_start=NOW, trial_end=trial_end, current_period_end=trial_end)
    yield email("trial_started", "sub_trial", NOW)
    yield email("trial_ending", "sub_trial", trial_end)
    yearly = state("yearly", interval="year", current_period_end=NOW + timedelta(days=35))
    yield email("renewal", "sub_yearly", yearly.current_period_end)
    yield email("plan_changed", "sub_yearly", "day", plan=plan.name, interval="year", before=CATALOG.free.name)
    yield email("resumed", "sub_yearly", "day")
    yield email("card_expiring", "pm_sample", "2027-1")
    change = {"plan": after.name, "interval": "month", "amount": price.amount, "at": int((NOW + MONTH).timestamp())}
    scheduled = state("scheduled", upcoming_change=change)
    yield email("change_scheduled", "sub_scheduled", schedule.change_key(scheduled.upcoming_change))
    canceled = state("canceled", cancel_at=NOW + MONTH, canceled_at=NOW)
    yield email("canceled", "sub_canceled", schedule.cancellation_key(canceled))
    state("ended", status="canceled", ended_at=NOW)
    yield email("ended", "sub_ended", NOW)
    yield email("trial_withheld", "sub_ended", NOW)
