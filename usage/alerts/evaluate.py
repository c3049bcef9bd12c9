"""Evaluate alerts periodically: find changed counters and gauges, create alerts, and save checkpoints in one transaction.

No alert is sent twice, even if counters are evaluated repeatedly, by two workers, or again after an interruption, because an alert is
unique per period. Only a change of usage triggers an evaluation, so a changed limit is evaluated when usage changes next.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction

from accounts.models import Organization
from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from entitlements.types import FeatureEntitlement, Kind
from usage.models import NO_PERIOD, AlertCheckpoint, UsageAlert

from . import publish, queries, thresholds
from .queries import ChangedCounter

# An evaluation shortly after the full hour still includes the previous hour.
HOUR_END_GRACE = timedelta(minutes=1)
MAX_BATCHES = 1_000
CHECKPOINT_RETENTION = timedelta(days=62)


def evaluate_alerts() -> int:
    """Evaluate everything that has changed since the last run. Return the number of alerts created."""
    return sum(_evaluate_kind(kind) for kind in (Kind.QUOTA, Kind.GAUGE))


def _evaluate_kind(kind: Kind) -> int:
    written, last = 0, None
    for _ in range(MAX_BATCHES):
        batch = queries.changed(kind, last)
        if batch:
            written += _evaluate_batch(batch)
            last = batch[-1]
        if len(batch) < queries.BATCH:
            break
    return written


def _evaluate_batch(batch: list[ChangedCounter]) -> int:
    organizations = Organization.objects.in_bulk({counter.organization_id for counter in batch})
    checkpoints: list[AlertCheckpoint] = []
    alerts: list[UsageAlert] = []
    hours = _hours(batch, organizations)
    for counter in batch:
        organization = organizations[counter.organization_id]
        checkpoint = AlertCheckpoint(
            organization_id=counter.organization_id,
            feature=counter.feature,
            period_start=counter.period_start,
            evaluated_amount=counter.amount,
            hour=counter.hour,
            baseline=counter.baseline,
            spike_threshold=counter.spike_threshold,
        )
        checkpoints.append(checkpoint)
        entitlement = EntitlementsManager(organization).entitlements().features.get(counter.feature)
        if entitlement is not None and entitlement.kind is counter.kind and entitlement.enabled:
            alerts += _threshold(organization, counter, entitlement)
            alerts += _spike(organization, checkpoint, entitlement, hours.get(counter.meter_key, ()))
    with transaction.atomic():
        _save_checkpoints(checkpoints)
        return publish.publish(alerts)


def _threshold(organization: Organization, counter: ChangedCounter, entitlement: FeatureEntitlement) -> Iterable[UsageAlert]:
    at = now(organization)
    period = entitlement.period(at if counter.kind is Kind.GAUGE else counter.period_start)
    if counter.kind is Kind.QUOTA and period.start != counter.period_start:
        return  # The period of the counter belongs to a former plan, so its usage no longer counts.
    if counter.kind is Kind.GAUGE and (entitlement.limit or 0) < thresholds.MIN_GAUGE_LIMIT:
        return
    included = None if entitlement.limit is None else entitlement.limit + counter.credited
    threshold = thresholds.threshold(counter.amount, included)
    if threshold is not None:
        yield UsageAlert(
            organization=organization,
            feature=counter.feature,
            period_start=period.start,
            period_end=period.end,
            kind=f"threshold_{threshold}",
            used=counter.amount,
            included=included,
            occurred_at=at,
        )


Hours = list[tuple[datetime, int]]


def _hours(batch: list[ChangedCounter], organizations: dict[Any, Organization]) -> dict[Any, Hours]:
    """Return the hours that may be spikes, with the units used in them, by organization and feature."""
    needed = set()
    for counter in batch:
        if counter.kind is Kind.QUOTA:
            at = now(organizations[counter.organization_id])
            needed |= {(*counter.meter_key, moment.replace(minute=0, second=0, microsecond=0)) for moment in (at - HOUR_END_GRACE, at)}
    hours_by_meter: dict[Any, Hours] = {}
    for (organization_id, feature, hour), amount in sorted(queries.hours(needed, thresholds.SPIKE_MIN_UNITS).items()) if needed else ():
        hours_by_meter.setdefault((organization_id, feature), []).append((hour, amount))
    return hours_by_meter


def _spike(
    organization: Organization, checkpoint: AlertCheckpoint, entitlement: FeatureEntitlement, hours: Iterable[tuple[datetime, int]]
) -> Iterable[UsageAlert]:
    at = now(organization)
    period = entitlement.period(at)
    for hour, amount in hours:
        if checkpoint.hour != hour:  # The baseline of an hour is queried once and stored in the checkpoint.
            past = queries.baseline(organization.pk, checkpoint.feature, hour)
            checkpoint.hour, checkpoint.baseline, checkpoint.spike_threshold = hour, past.mean, past.spike_threshold
        if checkpoint.spike_threshold is not None and amount > checkpoint.spike_threshold:
            yield UsageAlert(
                organization=organization,
                feature=checkpoint.feature,
                period_start=period.start,
                period_end=period.end,
                kind=UsageAlert.Kind.SPIKE,
                used=amount,
                included=entitlement.limit,
                baseline=checkpoint.baseline,
                hour=hour,
                occurred_at=at,
            )


def _save_checkpoints(checkpoints: list[AlertCheckpoint]) -> None:
    AlertCheckpoint.objects.bulk_create(
        checkpoints,
        update_conflicts=True,
        unique_fields=["organization_id", "feature", "period_start"],
        update_fields=["evaluated_amount", "hour", "baseline", "spike_threshold"],
    )


def purge_checkpoints() -> None:
    """Delete checkpoints of periods that are no longer evaluated."""
    AlertCheckpoint.objects.filter(period_start__gt=NO_PERIOD, period_start__lt=datetime.now(UTC) - CHECKPOINT_RETENTION).delete()
