"""The product's rows for comparison, without generated IDs and times of recording."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import connection, models
from djstripe import models as mirror

from accounts.models import Organization
from billing.models import Adjustment, BillingAccount, BillingNotification, CheckoutAttempt, Invoice, SubscriptionState, WebhookEvent
from contextmcp.common.clock import now
from entitlements.models import Grant
from entitlements.types import Source

Rows = dict[str, Any]

# The models, the key of a row, and the columns that may differ: times of recording and generated IDs.
KEPT: list[tuple[type[models.Model], tuple[str, ...], set[str]]] = [
    (SubscriptionState, ("stripe_subscription_id",), {"id"}),
    (Invoice, ("stripe_invoice_id",), {"id"}),
    (Adjustment, ("stripe_id",), {"id"}),
    (BillingAccount, ("organization_id",), {"id", "created_at", "synced_at", "customer_deleted_at"}),
    (CheckoutAttempt, ("id",), {"created_at"}),
]
MIRRORED = [
    mirror.Customer,
    mirror.PaymentMethod,
    mirror.Subscription,
    mirror.SubscriptionSchedule,
    mirror.Invoice,
    mirror.Product,
    mirror.Price,
    mirror.Coupon,
    mirror.PromotionCode,
]
# Stripe counts redemptions without sending events.
UNTOLD = {"times_redeemed"}
STANDS = {"billing_planprice"}
EMPTIED = (
    "accounts_auditevent",
    "accounts_invalidationentry",
    "entitlements_grant",
    "entitlements_override",
    "procrastinate_jobs",
    "procrastinate_events",
    "procrastinate_periodic_defers",
)


def dump() -> Rows:
    """Return the projection and the mirror."""
    rows: Rows = {}
    for model, key, left_out in KEPT:
        for row in model._default_manager.values():
            rows[f"{model.__name__} {' '.join(str(row[name]) for name in key)}"] = _plain(row, left_out)
    for model in MIRRORED:
        for row in model.objects.values("id", "stripe_data"):
            rows[f"mirror {model.__name__} {row['id']}"] = _plain(row["stripe_data"], UNTOLD)
    for organization in Organization.objects.values("id", "test_clock_id"):
        rows[f"Organization {organization['id']}"] = organization
    for account in BillingAccount.objects.all():
        rows[f"deleted {account.organization_id}"] = account.customer_deleted_at is not None
    return rows


def grants() -> Rows:
    """Return all grants by what they stand for."""
    rows = Grant.objects.select_related("plan_version").order_by("id")
    return {f"Grant {_grant_key(row)} {row.starts_at.isoformat()}": _grant_fields(row) for row in rows}


def active_grants() -> Rows:
    """Return the grants that are active or start later. If plans followed one another, the time of the change is a time of recording."""
    rows = [
        row
        for row in Grant.objects.select_related("plan_version", "organization")
        if row.ends_at is None or row.ends_at > now(row.organization)
    ]
    return {f"standing Grant {_grant_key(row)}": _grant_fields(row) for row in rows}


def _grant_key(grant: Grant) -> str:
    return f"{grant.organization_id} {grant.source} {grant.reference} {grant.plan_version}"


def _grant_fields(grant: Grant) -> dict[str, Any]:
    # Whether a grant by staff continues existing usage months depends on what was delivered before it.
    anchor = grant.anchor if grant.source == Source.SUBSCRIPTION else None
    return {"ends_at": grant.ends_at, "anchor": anchor, "lapsed": grant.lapsed, "reason": grant.reason}


def notices() -> Rows:
    left_out = {"id", "created_at", "attempts", "sent_at", "canceled_at"}
    return {
        f"Notice {row['kind']} {row['object_id']} {row['transition']}": _plain(dict(row), left_out)
        for row in BillingNotification.objects.values()
    }


def inbox() -> Rows:
    """Return the events without their state: whether an event was relevant depends on when its customer was linked."""
    return {
        f"Event {row['event_id']}": row["state"] in ("processed", "ignored") for row in WebhookEvent.objects.values("event_id", "state")
    }


def _plain(row: dict[str, Any], left_out: set[str]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in left_out}


def differences(one: Rows, other: Rows) -> list[str]:
    """Yield each row that exists on one side only or differs, and how."""
    matches = [f"only in order: {name} {one[name]}" for name in one.keys() - other.keys()]
    matches += [f"only otherwise: {name} {other[name]}" for name in other.keys() - one.keys()]
    for name in sorted(one.keys() & other.keys()):
        if one[name] != other[name]:
            matches.append(f"differs: {name}: {_where(one[name], other[name])}")
    return sorted(matches)


def _where(one: Any, other: Any) -> str:
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
        return ", ".join(f"{key}: {one.get(key)!r} / {other.get(key)!r}" for key in keys)[:600]
    return f"{one!r} / {other!r}"[:600]


def forget() -> None:
    """Delete everything that the product knows from Stripe, except organizations, plans and their prices."""
    tables = {
        model._meta.db_table for app in ("billing", "djstripe") for model in apps.get_app_config(app).get_models(include_auto_created=True)
    }
    names = ", ".join(f'"{name}"' for name in sorted({*tables, *EMPTIED} - STANDS))
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {names}")
    Organization.objects.update(test_clock_id="", clock_offset="0")
