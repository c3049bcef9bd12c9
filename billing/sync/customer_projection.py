"""Rebuilds a customer's rows and grants from the mirror. The result does not depend on previous rows, except where noted."""

from collections.abc import Container, Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models as orm

from billing import enqueue, idempotent_actions, trials
from billing.catalog import prices
from billing.documents import columns, schedule_phases
from billing.documents.grace_period import first_failures
from billing.models import Adjustment, BillingAccount, CheckoutAttempt, Invoice, SubscriptionState
from billing.models.subscriptions import ENDED, ENTITLING
from billing.notifications import schedule
from billing.stripe.mirror import read
from contextmcp.common.clock import now
from contextmcp.common.ids import as_uuid
from entitlements.manager import EntitlementsManager
from entitlements.types import GrantSpec, Source
from usage.tracker import UsageTracker

from . import webhook_events

Change = tuple[str, str, Any, Any]


def project_customer(account: BillingAccount, charges: Iterable[dict[str, Any]] = ()) -> list[Change]:
    """Project a customer's mirror. Call it under the customer's lock.

    `charges` are the customer's charges at Stripe. They are not mirrored; their failed payments are stored with the invoices.
    Returns a (kind, subject, value at Stripe, previous local value) tuple for each difference.
    """
    customer_id = account.stripe_customer_id or ""
    documents = prices.own_subscriptions(read.subscriptions(customer_id))
    invoice_documents = read.invoices(customer_id)
    grace = timedelta(days=settings.BILLING_GRACE_DAYS)
    known = prices.price_index()
    failures = _recorded_failures(account) | first_failures(invoice_documents, charges)
    subscriptions = {each["id"]: columns.subscription_fields(each, invoice_documents, known, grace, failures) for each in documents}
    changes = _upsert(SubscriptionState, account, "stripe_subscription_id", subscriptions)
    changes += _delete_foreign_subscriptions(account, subscriptions)
    refunds = _refunded(account)
    payments = columns.payment_ids(invoice_documents, charges, _known_payments(account))
    invoices = {
        each["id"]: columns.invoice_fields(each, refunds.get(each["id"], 0), failures.get(each["id"]), payments[each["id"]])
        for each in invoice_documents
    }
    changes += _upsert(Invoice, account, "stripe_invoice_id", invoices)
    changes += _delete_missing_invoices(account, {each["id"] for each in invoice_documents})
    states = list(account.organization.subscriptions.select_related("plan_version"))
    _attempts(account, documents)
    withheld = trials.settle_trial(account, documents)
    _trial(account, states)
    _overage(account, states)
    changes += _grant(account, [state for state in states if state.stripe_subscription_id not in withheld])
    idempotent_actions.conclude_pending_actions(account.organization, states)
    if any(schedule_phases.is_outdated(document, known) for document in documents if document["status"] not in ENDED):
        enqueue.align_schedule(str(account.organization_id))
    schedule.schedule_notifications(account, states, withheld)
    webhook_events.subscription_changed(account.organization, states, changes)
    return changes


def _grant(account: BillingAccount, states: Iterable[SubscriptionState]) -> list[Change]:
    """Replace the organization's subscription grants with those that the subscriptions entitle to."""
    before = _active_grants(account)
    EntitlementsManager(account.organization).replace_grants(Source.SUBSCRIPTION, grants(states))
    after = _active_grants(account)
    return [] if before == after else [("grants", str(account.organization_id), after, before)]


def _active_grants(account: BillingAccount) -> list[list[str | None]]:
    rows = (
        account.organization.grants.filter(source=Source.SUBSCRIPTION)
        .current_or_future(at=now(account.organization))
        .select_related("plan_version")
        .order_by("id")
    )
    return [[row.reference, str(row.plan_version), row.ends_at.isoformat() if row.ends_at else None] for row in rows]


def grants(states: Iterable[SubscriptionState]) -> list[GrantSpec]:
    """Return the grants of the subscriptions: trialing and active ones entitle, past_due ones until the grace period ends."""
    return [spec for state in states if state.plan_version and (spec := _grant_for(state))]


def _grant_for(state: SubscriptionState) -> GrantSpec | None:
    assert state.plan_version is not None
    lapsed = state.status in ("past_due", "unpaid")
    ends = _grant_end(state)
    if state.status not in ENTITLING and ends is None:
        return None
    return GrantSpec(
        plan=state.plan_version.plan,
        version=state.plan_version.version,
        reference=state.stripe_subscription_id,
        starts_at=state.started_at,
        ends_at=ends,
        anchor=state.anchor,
        lapsed=lapsed,
    )


def _grant_end(state: SubscriptionState) -> Any:
    """Return when the subscription's grant ends or ended; None if no end is known or it never entitled."""
    if state.status == "canceled":
        # Stripe may cancel weeks after the last failed payment; access ended with the grace period.
        return min(filter(None, [state.ended_at, state.grace_until]))
    if state.status == "past_due":
        return min(filter(None, [state.grace_until, state.cancel_at]))
    if state.status == "unpaid":
        # An unpaid subscription does not entitle. If the grace period ended before, the lapsed grant keeps that end.
        current_time = now(state.organization)
        return state.grace_until if state.grace_until and state.grace_until <= current_time else None
    # `cancel_at` may also be set on incomplete and paused subscriptions, which do not entitle.
    return state.cancel_at if state.status in ENTITLING else None


def _upsert(model: Any, account: BillingAccount, key: str, fields_by_id: dict[str, dict[str, Any]]) -> list[Change]:
    """Create or update the rows to have these fields, and return the differences."""
    rows = {getattr(row, key): row for row in model.objects.filter(**{f"{key}__in": list(fields_by_id)})}
    changes: list[Change] = []
    for value, fields in fields_by_id.items():
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


def _delete_foreign_subscriptions(account: BillingAccount, own_ids: Container[str]) -> list[Change]:
    """Delete the rows of this customer's subscriptions whose price at Stripe no longer belongs to this product."""
    rows = account.organization.subscriptions.filter(stripe_customer_id=account.stripe_customer_id or "")
    foreign = [row for row in rows if row.stripe_subscription_id not in own_ids]
    account.organization.subscriptions.filter(pk__in=[row.pk for row in foreign]).delete()
    return [("subscriptionstate_foreign", row.stripe_subscription_id, None, row.status) for row in foreign]


def _delete_missing_invoices(account: BillingAccount, invoice_ids: set[str]) -> list[Change]:
    """Delete invoices that are no longer mirrored. Invoices of a deleted or replaced customer are still mirrored and therefore kept."""
    rows = account.organization.invoices.exclude(stripe_invoice_id__in=invoice_ids)
    mirrored = read.mirrored_invoices(row.stripe_invoice_id for row in rows)
    missing = [row for row in rows if row.stripe_invoice_id not in mirrored]
    if missing:
        account.organization.invoices.filter(pk__in=[row.pk for row in missing]).delete()
    return [("invoice_gone", row.stripe_invoice_id, None, row.status) for row in missing]


def _recorded_failures(account: BillingAccount) -> dict[str, int | None]:
    """Return the failures that earlier syncs stored. Stripe cannot list the charges of a deleted customer."""
    rows = account.organization.invoices.exclude(failed_at=None).values_list("stripe_invoice_id", "failed_at")
    return {invoice_id: int(failed_at.timestamp()) for invoice_id, failed_at in rows if failed_at}


def _known_payments(account: BillingAccount) -> dict[str, str]:
    """Return the payment ids that earlier syncs stored. Stripe cannot list the charges of a deleted customer."""
    return dict(account.organization.invoices.exclude(payment_ids="").values_list("stripe_invoice_id", "payment_ids"))


def _refunded(account: BillingAccount) -> dict[str, int]:
    rows = account.organization.billing_adjustments.filter(kind=Adjustment.Kind.REFUND, status="succeeded")
    return {each["stripe_invoice_id"]: each["sum"] for each in rows.values("stripe_invoice_id").annotate(sum=orm.Sum("amount"))}


def _attempts(account: BillingAccount, documents: Iterable[dict[str, Any]]) -> None:
    states = CheckoutAttempt.State
    unfinished = account.organization.checkout_attempts.filter(state__in=[states.PREPARING, states.OPEN])
    references = [(each.get("metadata") or {}).get("checkout_attempt") for each in documents]
    # Metadata is free text that any dashboard user can edit, so invalid ids are skipped.
    unfinished.filter(pk__in=[attempt for each in references if (attempt := as_uuid(each))]).update(state=states.COMPLETED)
    unfinished.filter(expires_at__lte=now(account.organization)).update(state=states.EXPIRED)
    if any(each["status"] not in (*ENDED, "incomplete") for each in documents) and unfinished.exists():
        # The organization subscribed another way, such as in the dashboard. The open page would sell a second subscription.
        enqueue.close_checkout(str(account.organization_id))


def _overage(account: BillingAccount, states: Iterable[SubscriptionState]) -> None:
    """Disable overage if no metered item bills it. A later subscription does not re-enable it.

    Overage stays enabled during free days of a paid subscription.
    """
    if not any(state.is_live and not state.on_first_trial and state.overage_item_id for state in states):
        UsageTracker(account.organization).disable_overage()


def _trial(account: BillingAccount, states: Iterable[SubscriptionState]) -> None:
    first = min((state.trial_start for state in states if state.trial_start), default=None)
    if first != account.trial_used_at:
        account.trial_used_at = first
        account.save(update_fields=["trial_used_at"])
