"""Compares all customers with Stripe, records the differences and repairs them.

It is safe in production, because it uses the same locked sync as webhook processing.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from time import sleep as pause
from typing import Any
from uuid import UUID

import structlog
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from prometheus_client import Counter as Metric

from accounts.audit import record
from accounts.models import Organization, User
from billing import enqueue, operator_alerts, overage_settings
from billing.documents.stripe_documents import reference_id
from billing.errors import BillingNotConfigured, StripeUnavailable
from billing.inbound import inbox
from billing.models import BillingAccount, Drift, ReconciliationRun, SubscriptionState, WebhookEvent
from billing.selectors import is_paused_by_customer
from billing.stripe.gateway import customers, events, subscriptions
from billing.types import SyncResult
from contextmcp.common.clock import now

from . import customer_mapping
from .catalog import prices
from .overage import meter_totals
from .sync.customer import sync_customer

log = structlog.get_logger(__name__)
DRIFTS = Metric("billing_drift_total", "Differences from Stripe found by reconciliation", ["kind"])
# The windows of two runs overlap by an hour. The first window is 29 days, because Stripe keeps events for 30 days.
OVERLAP = timedelta(hours=1)
FIRST_WINDOW = timedelta(days=29)
# Delays in seconds before a customer is retried while Stripe does not answer or limits the rate (429). After the last retry the run ends
# with an error; the next run resumes with that customer.
BACKOFF_SECONDS = (1, 2, 4, 8, 16, 32)
ERROR_LENGTH = 500
# The progress of a run is stored after this many customers.
PROGRESS_EVERY = 20


def reconcile(
    organization: Organization | None = None, *, dry_run: bool = False, actor: User | None = None, reason: str = ""
) -> ReconciliationRun:
    """Compare one organization, or all organizations and the events since the last complete run, and return the run.

    With an `actor`, the run and the audit log record the actor and the reason.
    Raises `StripeUnavailable` if Stripe does not answer. The run's row records the last compared customer, and the next run resumes there.
    """
    row = ReconciliationRun.objects.create(
        organization=organization, dry_run=dry_run, events_since=None if organization else _since(), created_by=actor
    )
    _compare(row)
    if actor is not None:
        summary = {"customers": row.customers_compared, "drifts": drift_counts(row), "dry_run": dry_run}
        target, before = f"run:{row.pk}", {"dry_run": dry_run}
        record("billing.reconciled", organization=organization, actor=actor, target=target, before=before, after=summary, reason=reason)
    return row


def start_for_all(actor: User, reason: str, *, dry_run: bool) -> ReconciliationRun:
    """Queue the comparison of all organizations, with one audit event. The page of the run shows its progress."""
    with transaction.atomic():
        last = ReconciliationRun.objects.filter(organization=None, finished_at__isnull=False).first()
        row = ReconciliationRun.objects.create(dry_run=dry_run, events_since=_since(), created_by=actor)
        before = {"last_run": last.started_at.isoformat() if last else None}
        after = {"run": row.pk, "dry_run": dry_run}
        record(
            "billing.reconciliation_started",
            organization=None,
            actor=actor,
            target=f"run:{row.pk}",
            before=before,
            after=after,
            reason=reason,
        )
        enqueue.reconciliation(row.pk)
    return row


def run_started(run_id: int) -> None:
    """Execute a run that `start_for_all` queued, unless it is finished. Raises `StripeUnavailable` if Stripe does not answer."""
    row = ReconciliationRun.objects.get(pk=run_id)
    if row.finished_at is None:
        _compare(row)


def _compare(row: ReconciliationRun) -> None:
    try:
        _Comparison(row).compare()
    except Exception as error:
        row.error = f"{type(error).__name__}: {error}"[:2000]
        row.save(update_fields=["error", "customers_compared", "last_customer_id"])
        raise
    row.finished_at, row.error = now(), ""
    row.save()
    log.info("billing.reconciled", customers=row.customers_compared, drifts=row.drifts.count(), dry_run=row.dry_run)


def drift_counts(row: ReconciliationRun) -> dict[str, int]:
    """Return the number of differences of each kind."""
    return dict(Counter(row.drifts.values_list("kind", flat=True)))


def _since() -> datetime:
    last = ReconciliationRun.objects.filter(organization=None, dry_run=False, finished_at__isnull=False).first()
    earliest = now() - FIRST_WINDOW
    return max(earliest, last.started_at - OVERLAP) if last else earliest


def _resume_after(row: ReconciliationRun) -> str:
    """Return the last customer that an unfinished previous run compared; empty if the previous run finished."""
    last = ReconciliationRun.objects.filter(organization=None, dry_run=row.dry_run, pk__lt=row.pk).first()
    return "" if last is None or last.finished_at else last.last_customer_id


def _resumed(customer_ids: list[str], after: str) -> list[str]:
    """Rotate the sorted ids so that they start after `after`."""
    start = bisect_right(customer_ids, after)
    return customer_ids[start:] + customer_ids[:start]


class _Comparison:
    def __init__(self, row: ReconciliationRun) -> None:
        self.row = row

    def compare(self) -> None:
        """Compare customers, then store missed events. A difference is a drift only if no pending event explains it."""
        organization = self.row.organization
        if organization is not None:
            for customer_id in BillingAccount.objects.filter(organization=organization).values_list("stripe_customer_id", flat=True):
                if customer_id:
                    self._customer(customer_id)
            self._paused_collections()
            self._meter(organization)
            return
        for customer_id in _resumed(self._all_customers(), self.row.last_customer_id or _resume_after(self.row)):
            self._customer(customer_id)
            self.row.last_customer_id = customer_id
            if self.row.customers_compared % PROGRESS_EVERY == 0:
                self.row.save(update_fields=["customers_compared", "last_customer_id"])
        self._duplicate_subscriptions()
        self._paused_collections()
        self._unlinked_purchases()
        self._missed_events()
        for organization in Organization.objects.filter(overage_settings__enabled=True).distinct():
            self._meter(organization)

    def _all_customers(self) -> list[str]:
        """Return the sorted ids of all linked customers and of all customers at Stripe whose metadata names an organization."""
        by_organization: dict[UUID, set[str]] = defaultdict(set)
        for organization_id, customer_id in BillingAccount.objects.values_list("organization_id", "stripe_customer_id"):
            if customer_id:
                by_organization[organization_id].add(customer_id)
        # Stripe omits customers on test clocks from this list; linked ones are included above.
        for customer in customers.every():
            organization = customer_mapping.organization_from_metadata(customer)
            if organization:
                by_organization[organization.pk].add(customer["id"])
        for organization_id, ids in by_organization.items():
            if len(ids) > 1:
                self._drift("duplicate_customer", str(organization_id), sorted(ids), None, organization_id, repaired=False)
        return sorted(customer_id for ids in by_organization.values() for customer_id in ids)

    @contextmanager
    def _recorded_errors(self, subject: str) -> Iterator[None]:
        """Record an error of one subject as a drift, so that the others are still compared. Re-raise if Stripe is unavailable."""
        try:
            yield
        except (StripeUnavailable, BillingNotConfigured):
            raise
        except Exception as error:
            log.exception("billing.comparison_failed", subject=subject)
            operator_alerts.alert_operator(error, self.row.organization)
            message = f"{type(error).__name__}: {error}"[:ERROR_LENGTH].replace("\0", "")
            self._drift("error", subject, None, message, self.row.organization_id, repaired=False)

    def _customer(self, customer_id: str) -> None:
        with self._recorded_errors(customer_id):
            result = self._synced(customer_id)
            self.row.customers_compared += 1
            for price_id in result.unknown_prices:
                self._drift("unknown_price", price_id, None, None, result.organization_id, repaired=False)
            if result.events or result.organization_id is None:
                return  # A pending event explains the difference, or the customer is not linked to an organization.
            for kind, subject, expected, actual in result.changes:
                self._drift(kind, subject, expected, actual, result.organization_id)

    def _synced(self, customer_id: str) -> SyncResult:
        for seconds in BACKOFF_SECONDS:
            try:
                return sync_customer(customer_id, dry_run=self.row.dry_run)
            except StripeUnavailable:
                pause(seconds)
        return sync_customer(customer_id, dry_run=self.row.dry_run)

    def _duplicate_subscriptions(self) -> None:
        """Record organizations with several live subscriptions. The local rows were synced by the comparison of customers."""
        live: dict[UUID, list[str]] = defaultdict(list)
        for state in SubscriptionState.objects.live().exclude(status="incomplete").order_by("stripe_subscription_id"):
            live[state.organization_id].append(state.stripe_subscription_id)
        for organization_id, ids in live.items():
            if len(ids) > 1:
                self._drift("duplicate_subscription", str(organization_id), ids, None, organization_id, repaired=False)

    def _unlinked_purchases(self) -> None:
        """Record subscriptions to this product's plans whose customer has no organization, for example after a purchase by payment link."""
        linked = set(BillingAccount.objects.exclude(stripe_customer_id=None).values_list("stripe_customer_id", flat=True))
        for document in prices.own_subscriptions(each for each in subscriptions.every() if reference_id(each["customer"]) not in linked):
            details = {"customer": reference_id(document["customer"])}
            self._drift("unlinked_purchase", document["id"], details, None, None, repaired=False)

    def _paused_collections(self) -> None:
        """Record subscriptions whose payment collection is paused, in every run until staff resume it. Owners' pauses end by themselves."""
        paused = SubscriptionState.objects.live().exclude(collection_paused="")
        for state in paused.filter(organization=self.row.organization) if self.row.organization else paused:
            if is_paused_by_customer(state):
                continue
            details = {"behavior": state.collection_paused, "resumes_at": state.collection_resumes_at}
            self._drift("collection_paused", state.stripe_subscription_id, details, None, state.organization_id, repaired=False)

    def _missed_events(self) -> None:
        assert self.row.events_since is not None
        for document in events.since(int(self.row.events_since.timestamp())):
            if not WebhookEvent.objects.filter(event_id=document["id"]).exists():
                self.row.missed_events += 1
                with self._recorded_errors(document["id"]):
                    self._missed(document)

    def _missed(self, document: dict[str, Any]) -> None:
        text = json.dumps(document)
        event = inbox.parse_event(text.encode())
        if not self.row.dry_run:
            with transaction.atomic():
                inbox.store_event(event, text, source=WebhookEvent.Source.RECONCILIATION)
        if inbox.subject_of(event):
            self._drift("event_missed", event.id, event.type, None, None)

    def _meter(self, organization: Organization) -> None:
        with self._recorded_errors(f"meters of {organization.pk}"):
            if not self.row.dry_run:
                overage_settings.remove_unused_item(organization)
            for subject, expected, actual in meter_totals.compare_totals(organization, dry_run=self.row.dry_run):
                self._drift("meter_total", subject, expected, actual, organization.pk)

    def _drift(self, kind: str, subject: str, expected: Any, actual: Any, organization_id: Any, *, repaired: bool = True) -> None:
        DRIFTS.labels(kind).inc()
        Drift.objects.create(
            run=self.row,
            organization_id=organization_id,
            kind=kind[:40],
            subject=subject,
            expected=_plain(expected),
            actual=_plain(actual),
            repaired=repaired and not self.row.dry_run,
        )


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, cls=DjangoJSONEncoder))
