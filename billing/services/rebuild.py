"""The projection: our rows and grants as a function of the mirror, whatever was there before."""

from collections.abc import Container, Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models as orm

from billing.mirror import read
from billing.models import Adjustment, BillingAccount, CheckoutAttempt, Invoice, SubscriptionState
from billing.models.subscriptions import ENDED, ENTITLING
from contextmcp.common.clock import now
from contextmcp.common.ids import as_uuid
from entitlements.manager import EntitlementsManager
from entitlements.types import GrantSpec, Source
from usage.tracker import UsageTracker

from . import announce, notices, prices, projection, queue

Change = tuple[str, str, Any, Any]


def rebuild(account: BillingAccount) -> list[Change]:
    """Project a customer's mirror. Returns what differed: kind, subject, before, after. Call it under the customer's lock."""
    customer_id = account.stripe_customer_id or ""
    documents = prices.ours(read.subscriptions(customer_id))
    bills = read.invoices(customer_id)
    grace = timedelta(days=settings.BILLING_GRACE_DAYS)
    known = prices.known()
    subscriptions = {each["id"]: projection.subscription_fields(each, bills, known, grace) for each in documents}
    changes = _put(SubscriptionState, account, "stripe_subscription_id", subscriptions)
    changes += _drop_foreign(account, subscriptions)
    refunds = _refunded(account)
    invoices = {each["id"]: projection.invoice_fields(each, refunds.get(each["id"], 0)) for each in bills}
    changes += _put(Invoice, account, "stripe_invoice_id", invoices)
    changes += _drop_gone(account, {bill["id"] for bill in bills})
    states = list(account.organization.subscriptions.select_related("plan_version"))
    _attempts(account, documents)
    _trial(account, states)
    _overage(account, states)
    changes += _grant(account, states)
    notices.due(account, states)
    announce.changed(account.organization, states, changes)
    return changes


def _grant(account: BillingAccount, states: Iterable[SubscriptionState]) -> list[Change]:
    """Make the grants what the subscriptions entitle to."""
    before = _standing(account)
    EntitlementsManager(account.organization).replace_grants(Source.SUBSCRIPTION, grants(states))
    after = _standing(account)
    return [] if before == after else [("grants", str(account.organization_id), after, before)]


def _standing(account: BillingAccount) -> list[list[str | None]]:
    rows = (
        account.organization.grants.filter(source=Source.SUBSCRIPTION)
        .standing(at=now(account.organization))
        .select_related("plan_version")
        .order_by("id")
    )
    return [[row.reference, str(row.plan_version), row.ends_at.isoformat() if row.ends_at else None] for row in rows]


def grants(states: Iterable[SubscriptionState]) -> list[GrantSpec]:
    """What subscriptions entitle to: trialing and active ones; past_due ones for the grace period; no other, ever."""
    return [spec for state in states if state.plan_version and (spec := _spec(state))]


def _spec(state: SubscriptionState) -> GrantSpec | None:
    assert state.plan_version is not None
    owing = state.status in ("past_due", "unpaid")
    ends = _ends(state)
    if state.status not in ENTITLING and ends is None:
        return None
    return GrantSpec(
        plan=state.plan_version.plan,
        version=state.plan_version.version,
        reference=state.stripe_subscription_id,
        starts_at=state.started_at,
        ends_at=ends,
        anchor=state.anchor,
        owing=owing,
    )


def _ends(state: SubscriptionState) -> Any:
    """When the grant of this subscription ends or ended; None: not foreseeable, or never entitled."""
    if state.status == "canceled":
        # Given up by Stripe weeks after the last payment: access was over with the grace period.
        return min(filter(None, [state.ended_at, state.grace_until]))
    if state.status == "past_due":
        return min(filter(None, [state.grace_until, state.cancel_at]))
    if state.status == "unpaid":
        # It entitles no more. Where grace was over before Stripe gave up, the grant keeps that end, and says that money is owed.
        present = now(state.organization)
        return state.grace_until if state.grace_until and state.grace_until <= present else None
    # One that never was paid for, or is paused, may have an end by date as well.
    return state.cancel_at if state.status in ENTITLING else None


def _put(model: Any, account: BillingAccount, key: str, wanted: dict[str, dict[str, Any]]) -> list[Change]:
    """Make the rows equal to what is wanted of each, and say what differed."""
    rows = {getattr(row, key): row for row in model.objects.filter(**{f"{key}__in": list(wanted)})}
    changes: list[Change] = []
    for value, fields in wanted.items():
        row = rows.get(value)
        if row is None:
            model.objects.create(**{key: value}, organization=account.organization, **fields)
            changes.append((f"{model._meta.model_name}_missing", value, fields.get("status"), None))
        else:
            changes += _update(row, value, fields)
    return changes


def _update(row: Any, value: str, fields: dict[str, Any]) -> list[Change]:
    different = {name: new for name, new in fields.items() if getattr(row, name) != new}
    if not different:
        return []
    before = {name: getattr(row, name) for name in different}
    for name, new in different.items():
        setattr(row, name, new)
    row.save(update_fields=list(different))
    return [(f"{row._meta.model_name}_{name}", value, different[name], before[name]) for name in different]


def _drop_foreign(account: BillingAccount, ours: Container[str]) -> list[Change]:
    """Remove the rows of this customer's subscriptions that were changed at Stripe to something that is no plan of this product."""
    rows = account.organization.subscriptions.filter(stripe_customer_id=account.stripe_customer_id or "")
    foreign = [row for row in rows if row.stripe_subscription_id not in ours]
    account.organization.subscriptions.filter(pk__in=[row.pk for row in foreign]).delete()
    return [("subscriptionstate_foreign", row.stripe_subscription_id, None, row.status) for row in foreign]


def _drop_gone(account: BillingAccount, present: set[str]) -> list[Change]:
    """What the mirror has no more. It keeps the bills of a customer that was deleted or replaced: what was billed stays on record."""
    rows = account.organization.invoices.exclude(stripe_invoice_id__in=present)
    kept = read.mirrored_invoices(row.stripe_invoice_id for row in rows)
    gone = [row for row in rows if row.stripe_invoice_id not in kept]
    if gone:
        account.organization.invoices.filter(pk__in=[row.pk for row in gone]).delete()
    return [("invoice_gone", row.stripe_invoice_id, None, row.status) for row in gone]


def _refunded(account: BillingAccount) -> dict[str, int]:
    rows = account.organization.billing_adjustments.filter(kind=Adjustment.Kind.REFUND, status="succeeded")
    return {each["stripe_invoice_id"]: each["sum"] for each in rows.values("stripe_invoice_id").annotate(sum=orm.Sum("amount"))}


def _attempts(account: BillingAccount, documents: Iterable[dict[str, Any]]) -> None:
    states = CheckoutAttempt.State
    waiting = account.organization.checkout_attempts.filter(state__in=[states.PREPARING, states.OPEN])
    bought = [(each.get("metadata") or {}).get("checkout_attempt") for each in documents]
    # Anybody with access to the dashboard may write there.
    waiting.filter(pk__in=[attempt for each in bought if (attempt := as_uuid(each))]).update(state=states.COMPLETED)
    waiting.filter(expires_at__lte=now(account.organization)).update(state=states.EXPIRED)
    if any(each["status"] not in (*ENDED, "incomplete") for each in documents) and waiting.exists():
        # Subscribed some other way, in the dashboard for one: the page that is open would sell a second subscription.
        queue.close_checkout_later(str(account.organization_id))


def _overage(account: BillingAccount, states: Iterable[SubscriptionState]) -> None:
    """Nothing is sold beyond the allowance without a metered item that bills it: whoever subscribes anew turns it on anew."""
    if not any(state.is_live and state.status != "trialing" and state.overage_item_id for state in states):
        UsageTracker(account.organization).stop_overage()


def _trial(account: BillingAccount, states: Iterable[SubscriptionState]) -> None:
    first = min((state.trial_start for state in states if state.trial_start), default=None)
    if first != account.trial_used_at:
        account.trial_used_at = first
        account.save(update_fields=["trial_used_at"])
