"""Append changes of recurring charges to the change log, in the transaction of the sync.

An event contains the time of its change, so a change is logged at this time even if the event arrives late or out of order. A change that
no event has reported yet is taken from the fetched subscriptions and logged at the time of the sync.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef

from accounts.models import Organization
from billing.catalog import prices
from billing.documents.columns import plan_and_overage
from billing.documents.stripe_documents import Document, Prices, at
from billing.models import SubscriptionChange, SubscriptionState, WebhookEvent
from billing.models.subscriptions import ENDED
from contextmcp.common.clock import now

from .discounts import KnownDiscounts
from .event_order import in_effect, in_order
from .terms import measured_discounts, measured_fields

EVENTS = "customer.subscription."
MEASURED = (
    "status",
    "plan_version_id",
    "currency",
    "prices",
    "discounts",
    "on_first_trial",
    "collection_paused",
    "collection_resumes_at",
)


def record_changes(organization: Organization, event_ids: Collection[int], documents: Collection[Document]) -> None:
    """Append the changes that these stored events report, and the differences of the fetched subscriptions from the log.

    Call it under the customer's lock, after the projection. Repeated events change nothing.
    """
    earlier = list(organization.subscription_changes.all())
    known = prices.price_index()
    discounts = KnownDiscounts(earlier, documents, event_ids)
    rows = _event_rows(organization, event_ids, known, discounts, earlier)
    SubscriptionChange.objects.bulk_create(rows)
    record_known_subscriptions(organization)
    _record_differences(organization, documents, known, discounts)


def _event_rows(
    organization: Organization, event_ids: Collection[int], known: Prices, discounts: KnownDiscounts, earlier: Iterable[SubscriptionChange]
) -> list[SubscriptionChange]:
    logged: dict[tuple[str, datetime], list[SubscriptionChange]] = defaultdict(list)
    for change in earlier:
        if change.event_id:
            logged[change.stripe_subscription_id, change.effective_at.replace(microsecond=0)].append(change)
    recorded = {change.event_id for change in earlier}
    # All events of a second are appended again if another event of this second arrives, or the event of a discount that they refer to.
    events = {second: list[dict[str, Any]]() for second, rows in logged.items() if any(map(discounts.explain, in_effect(rows)))}
    for payload in WebhookEvent.objects.filter(pk__in=event_ids, type__startswith=EVENTS).order_by("pk").values_list("payload", flat=True):
        document = payload["data"]["object"]
        if payload["id"] not in recorded and prices.own_subscriptions([document]):
            occurred = (at(payload["created"]) + organization.clock_offset).replace(microsecond=0)
            events.setdefault((document["id"], occurred), []).append(payload)
    rows: list[SubscriptionChange] = []
    for second, new in events.items():
        former = _payloads(logged[second])
        revision = max((each.revision for each in logged[second]), default=-1)
        # Events are deleted after some months. If one is missing, the new events are logged after the existing rows.
        complete = len(former) == len({each.event_id for each in logged[second]})
        start = 0 if complete else len(logged[second])
        revision += complete
        for position, payload in enumerate(in_order([*former, *new] if complete else new), start):
            # The microseconds keep the order within a second.
            effective_at = second[1].replace(microsecond=position)
            row = _change(organization, payload["data"]["object"], known, discounts, effective_at)
            row.event_id, row.revision = payload["id"], revision
            rows.append(row)
    return rows


def _payloads(logged: Collection[SubscriptionChange]) -> list[dict[str, Any]]:
    events = WebhookEvent.objects.filter(event_id__in=[each.event_id for each in logged]).order_by("pk")
    return list(events.values_list("payload", flat=True)) if logged else []


def _change(
    organization: Organization, document: Document, known: Prices, discounts: KnownDiscounts, effective_at: datetime
) -> SubscriptionChange:
    return SubscriptionChange(
        organization=organization,
        stripe_subscription_id=document["id"],
        effective_at=effective_at,
        plan_version_id=_plan_version(document, known),
        **measured_fields(document, discounts.of(document)),
    )


def _plan_version(document: Document, known: Prices) -> int | None:
    plan_item, _ = plan_and_overage(document, known)
    price = known.get(plan_item["price"]["id"]) if plan_item else None
    if price is not None:
        return price.plan_version_id
    # The projection has found the plan of an unregistered price (ADR-012).
    state = SubscriptionState.objects.filter(stripe_subscription_id=document["id"]).only("plan_version_id").first()
    return state.plan_version_id if state else None


def record_known_subscriptions(organization: Organization | None = None) -> int:
    """Append the history of subscriptions that were stored before the log existed, and return their number.

    Only what their rows contain is known. The current price is logged for the whole history, because Stripe keeps events for 30 days only.
    """
    logged = SubscriptionChange.objects.filter(stripe_subscription_id=OuterRef("stripe_subscription_id"))
    states = SubscriptionState.objects.filter(~Exists(logged)).order_by("pk")
    if organization is not None:
        states = states.filter(organization=organization)
    count, batch = 0, list[SubscriptionChange]()
    for state in states.iterator(chunk_size=2000):
        count += 1
        batch += _stored_history(state)
        if len(batch) >= 2000:
            SubscriptionChange.objects.bulk_create(batch)
            batch = []
    SubscriptionChange.objects.bulk_create(batch)
    return count


def _stored_history(state: SubscriptionState) -> list[SubscriptionChange]:
    paused = bool(state.collection_paused)
    price = {"amount": state.amount, "interval": state.interval, "interval_count": 1}

    def change(effective_at: datetime, status: str, **more: Any) -> SubscriptionChange:
        return SubscriptionChange(
            organization_id=state.organization_id,
            stripe_subscription_id=state.stripe_subscription_id,
            effective_at=effective_at,
            status=status,
            plan_version_id=state.plan_version_id,
            currency=state.currency,
            prices=[] if state.amount is None or not state.interval else [price],
            discounts=measured_discounts(state.discounts),
            **more,
        )

    if state.status in ("incomplete", "incomplete_expired"):
        return [change(state.started_at, state.status)]
    rows = []
    has_trial = state.trial_start == state.started_at and state.trial_end is not None
    if has_trial:
        rows.append(change(state.started_at, "trialing", on_first_trial=True))
    paid_from = state.trial_end if has_trial and state.trial_end else state.started_at
    ended_in_trial = state.ended_at is not None and state.ended_at <= paid_from
    if state.status == "canceled":
        if not ended_in_trial:
            rows.append(change(paid_from, "active"))
        rows.append(change(state.ended_at or paid_from, "canceled"))
    elif state.status != "trialing" or not has_trial:
        if state.past_due_since and state.past_due_since > paid_from:
            rows.append(change(paid_from, "active"))
            paid_from = state.past_due_since
        rows.append(change(paid_from, state.status, collection_paused=paused, collection_resumes_at=state.collection_resumes_at))
    return rows


def _record_differences(organization: Organization, documents: Iterable[Document], known: Prices, discounts: KnownDiscounts) -> None:
    """Append the state of each subscription that differs from its last change, dated now."""
    present = now(organization)
    by_subscription: dict[str, list[SubscriptionChange]] = defaultdict(list)
    for row in organization.subscription_changes.all():
        by_subscription[row.stripe_subscription_id].append(row)
    last = {subscription_id: in_effect(rows)[-1] for subscription_id, rows in by_subscription.items()}
    rows = []
    for document in prices.own_subscriptions(documents):
        current = _change(organization, document, known, discounts, present)
        logged = last.get(document["id"])
        if logged is None or any(getattr(logged, name) != getattr(current, name) for name in MEASURED):
            # The logged row can have a later time, if its clock was ahead of this one. The new row must still be the last one.
            current.effective_at = max(present, logged.effective_at + timedelta(microseconds=1)) if logged else present
            rows.append(current)
    projected = set(organization.subscriptions.values_list("stripe_subscription_id", flat=True))
    for subscription_id, logged in last.items():
        if subscription_id not in projected and logged.status not in ENDED:
            # Its price no longer belongs to this product.
            values = {name: getattr(logged, name) for name in MEASURED} | {"status": "canceled"}
            rows.append(
                SubscriptionChange(
                    organization=organization,
                    stripe_subscription_id=subscription_id,
                    effective_at=max(present, logged.effective_at),
                    **values,
                )
            )
    SubscriptionChange.objects.bulk_create(rows)
