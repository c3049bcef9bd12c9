"""Comparing everything with Stripe: what drifted is named, and put right. Safe while live: it is the sync that webhooks use."""

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

from accounts.models import Organization
from billing.errors import BillingNotConfigured, StripeUnavailable
from billing.gateway import customers, events
from billing.models import BillingAccount, Drift, ReconciliationRun, SubscriptionState, WebhookEvent
from billing.types import SyncResult
from billing.webhooks import inbox
from contextmcp.common.clock import now

from . import accounts, meter_check, overage, prices
from .sync import sync_customer

log = structlog.get_logger(__name__)
DRIFTS = Metric("billing_drift_total", "Differences to Stripe found by reconciliation", ["kind"])
# Windows overlap; Stripe keeps events for 30 days.
OVERLAP = timedelta(hours=1)
FIRST_WINDOW = timedelta(days=29)
# Pauses in seconds before a customer is tried again while Stripe does not answer or asks to slow down (429). After the last one Stripe is
# taken for down and the run ends; the next one resumes with that customer.
BACKOFF_SECONDS = (1, 2, 4, 8, 16, 32)
ERROR_LENGTH = 500


def run(organization: Organization | None = None, *, dry_run: bool = False) -> ReconciliationRun:
    """Compare one organization, or everybody and the events of the time since the last such run.

    Raises `StripeUnavailable` where Stripe does not answer; the run's row says how far it got, and the next one starts where it did.
    """
    row = ReconciliationRun.objects.create(organization=organization, dry_run=dry_run, events_since=None if organization else _since())
    try:
        _Comparison(row).compare()
    except Exception as error:
        row.error = f"{type(error).__name__}: {error}"[:2000]
        row.save(update_fields=["error", "customers_compared", "last_customer_id"])
        raise
    row.finished_at = now()
    row.save()
    log.info("billing.reconciled", customers=row.customers_compared, drifts=row.drifts.count(), dry_run=dry_run)
    return row


def summary(row: ReconciliationRun) -> dict[str, int]:
    """How many drifts of each kind."""
    return dict(Counter(row.drifts.values_list("kind", flat=True)))


def _since() -> datetime:
    last = ReconciliationRun.objects.filter(organization=None, dry_run=False, finished_at__isnull=False).first()
    earliest = now() - FIRST_WINDOW
    return max(earliest, last.started_at - OVERLAP) if last else earliest


def _resume_after(row: ReconciliationRun) -> str:
    """Return the customer after which the last run over everybody stopped; empty if it finished."""
    last = ReconciliationRun.objects.filter(organization=None, dry_run=row.dry_run, pk__lt=row.pk).first()
    return "" if last is None or last.finished_at else last.last_customer_id


def _resumed(customer_ids: list[str], after: str) -> list[str]:
    """Return all of them, in order, beginning behind `after`."""
    start = bisect_right(customer_ids, after)
    return customer_ids[start:] + customer_ids[:start]


class _Comparison:
    def __init__(self, row: ReconciliationRun) -> None:
        self.row = row

    def compare(self) -> None:
        """Customers first: what then differs though no event waits is drift. Missed events would hide it."""
        chosen = self.row.organization
        if chosen is not None:
            for customer_id in BillingAccount.objects.filter(organization=chosen).values_list("stripe_customer_id", flat=True):
                if customer_id:
                    self._customer(customer_id)
            self._meter(chosen)
            return
        for customer_id in _resumed(self._everybody(), _resume_after(self.row)):
            self._customer(customer_id)
            self.row.last_customer_id = customer_id
        self._duplicate_subscriptions()
        self._unknown_prices()
        self._missed_events()
        for organization in Organization.objects.filter(overage_settings__enabled=True).distinct():
            self._meter(organization)

    def _everybody(self) -> list[str]:
        """Every customer we know, and every one at Stripe that names an organization of ours."""
        of: dict[UUID, set[str]] = defaultdict(set)
        for organization_id, customer_id in BillingAccount.objects.values_list("organization_id", "stripe_customer_id"):
            if customer_id:
                of[organization_id].add(customer_id)
        # Customers on test clocks are not in this list; those of ours are known anyway.
        for customer in customers.every():
            organization = accounts.named_by(customer)
            if organization:
                of[organization.pk].add(customer["id"])
        for organization_id, found in of.items():
            if len(found) > 1:
                self._drift("duplicate_customer", str(organization_id), sorted(found), None, organization_id, repaired=False)
        return sorted(customer_id for found in of.values() for customer_id in found)

    @contextmanager
    def _named(self, subject: str) -> Iterator[None]:
        """What goes wrong with one is named, and the others are compared all the same; without Stripe nothing can be."""
        try:
            yield
        except (StripeUnavailable, BillingNotConfigured):
            raise
        except Exception as error:
            log.exception("billing.comparison_failed", subject=subject)
            told = f"{type(error).__name__}: {error}"[:ERROR_LENGTH].replace("\0", "")
            self._drift("error", subject, None, told, self.row.organization_id, repaired=False)

    def _customer(self, customer_id: str) -> None:
        with self._named(customer_id):
            result = self._synced(customer_id)
            self.row.customers_compared += 1
            if result.events or result.organization_id is None:
                return  # It was only a matter of time, or it is none of ours.
            for kind, subject, expected, found in result.changes:
                self._drift(kind, subject, expected, found, result.organization_id)

    def _synced(self, customer_id: str) -> SyncResult:
        for seconds in BACKOFF_SECONDS:
            try:
                return sync_customer(customer_id, dry_run=self.row.dry_run)
            except StripeUnavailable:
                pause(seconds)
        return sync_customer(customer_id, dry_run=self.row.dry_run)

    def _duplicate_subscriptions(self) -> None:
        """Known from our own rows: they are Stripe's present truth by now."""
        live: dict[UUID, list[str]] = defaultdict(list)
        for state in SubscriptionState.objects.live().exclude(status="incomplete").order_by("stripe_subscription_id"):
            live[state.organization_id].append(state.stripe_subscription_id)
        for organization_id, found in live.items():
            if len(found) > 1:
                self._drift("duplicate_subscription", str(organization_id), found, None, organization_id, repaired=False)

    def _unknown_prices(self) -> None:
        used = SubscriptionState.objects.live().exclude(stripe_price_id="").values_list("stripe_price_id", flat=True)
        for price_id in prices.unknown(used):
            self._drift("unknown_price", price_id, None, None, None, repaired=False)

    def _missed_events(self) -> None:
        assert self.row.events_since is not None
        for document in events.since(int(self.row.events_since.timestamp())):
            if not WebhookEvent.objects.filter(event_id=document["id"]).exists():
                self.row.events_found += 1
                with self._named(document["id"]):
                    self._missed(document)

    def _missed(self, document: dict[str, Any]) -> None:
        text = json.dumps(document)
        event = inbox.parse(text.encode())
        if not self.row.dry_run:
            with transaction.atomic():
                inbox.store(event, text, source=WebhookEvent.Source.RECONCILIATION)
        if inbox.subject_of(event):
            self._drift("event_missed", event.id, event.type, None, None)

    def _meter(self, organization: Organization) -> None:
        with self._named(f"meters of {organization.pk}"):
            if not self.row.dry_run:
                overage.tidy(organization)
            for subject, expected, found in meter_check.compare(organization, dry_run=self.row.dry_run):
                self._drift("meter_total", subject, expected, found, organization.pk)

    def _drift(self, kind: str, subject: str, expected: Any, found: Any, organization_id: Any, *, repaired: bool = True) -> None:
        DRIFTS.labels(kind).inc()
        Drift.objects.create(
            run=self.row,
            organization_id=organization_id,
            kind=kind[:40],
            subject=subject,
            expected=_plain(expected),
            found=_plain(found),
            repaired=repaired and not self.row.dry_run,
        )


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, cls=DjangoJSONEncoder))
