"""Move any number of subscribers to another version of their plan, with one background job for each subscriber.

`start` records the move, `run` selects the subscribers and queues their jobs in chunks, and `migrate_item` moves one of them. Each step can
be repeated after a crash: the position is stored in the transaction that queues the jobs, and a subscriber's result in the transaction that
counts it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, F, QuerySet

from accounts.audit import record
from accounts.models import User
from billing import enqueue
from billing.errors import MigrationFinished
from billing.models import PlanMigration, PlanMigrationItem, SubscriptionState
from contextmcp.common.clock import now
from entitlements.models import PlanVersion

from . import plan_migration
from .resolve_plan_change import CHANGEABLE

CHUNK = 500
# Rows are inserted in the order of the primary key, so that `queued_until` is a position in this order.
_SELECT = """
INSERT INTO billing_planmigrationitem (migration_id, organization_id, stripe_subscription_id, state, note)
SELECT %s, organization_id, stripe_subscription_id, 'waiting', '' FROM billing_subscriptionstate
WHERE plan_version_id = ANY(%s) AND status <> ALL(%s) ORDER BY id
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class CandidateGroup:
    """Subscribers of the same version and interval. `changeable` of `count` can be moved now; the others are skipped."""

    version: PlanVersion
    interval: str
    count: int
    changeable: int


def candidates(to_version: PlanVersion, from_version: PlanVersion | None = None) -> list[CandidateGroup]:
    """Return how many subscribers a move would select, by version and interval."""
    versions = {version.pk: version for version in _sources(to_version, from_version)}
    states = SubscriptionState.objects.live().filter(plan_version_id__in=versions).order_by("plan_version_id", "interval")
    ready = states.filter(status__in=CHANGEABLE, schedule_id="", pending_change__isnull=True)
    changeable = _counts(ready)
    return [
        CandidateGroup(versions[version], interval, count, changeable.get((version, interval), 0))
        for (version, interval), count in _counts(states).items()
    ]


def _counts(states: QuerySet[SubscriptionState]) -> dict[tuple[int, str], int]:
    """Return the number of subscribers by version and interval."""
    rows = states.values_list("plan_version_id", "interval").annotate(count=Count("id"))
    return {(int(version or 0), interval): count for version, interval, count in rows}


def start(migration_id: UUID, to_version: PlanVersion, from_version: PlanVersion | None, actor: User, reason: str) -> PlanMigration:
    """Record a move and queue it, with one audit event. Each moved subscriber has an event of its own."""
    with transaction.atomic():
        count = sum(group.count for group in candidates(to_version, from_version))
        migration = PlanMigration.objects.create(
            pk=migration_id, to_version=to_version, from_version=from_version, reason=reason, created_by=actor
        )
        before = {"version": str(from_version) if from_version else f"all other versions of {to_version.plan}", "subscribers": count}
        _record("started", migration, actor, reason, before=before, after={"version": str(to_version), "subscribers": count})
        enqueue.plan_migration(str(migration.pk))
    return migration


def run(migration_id: UUID) -> None:
    """Select the subscribers and queue their jobs. A repeated call continues after the last queued one."""
    with transaction.atomic():
        migration = PlanMigration.objects.select_for_update(of=("self",)).select_related("to_version", "from_version").get(pk=migration_id)
        if migration.total is None:
            _select_subscribers(migration)
    while _queue_chunk(migration_id):
        continue


def _select_subscribers(migration: PlanMigration) -> None:
    sources = [version.pk for version in _sources(migration.to_version, migration.from_version)]
    with connection.cursor() as cursor:
        cursor.execute(_SELECT, [migration.pk, sources, ["canceled", "incomplete_expired"]])
        migration.total = cursor.rowcount
    migration.finished_at = None if migration.total else now()
    migration.save(update_fields=["total", "finished_at"])


def _queue_chunk(migration_id: UUID) -> bool:
    """Queue the next jobs in one transaction with the position. Return False at the end, or if the move was stopped."""
    with transaction.atomic():
        migration = PlanMigration.objects.select_for_update().get(pk=migration_id)
        if migration.stopped_at or migration.finished_at:
            return False
        rows = list(migration.items.waiting().filter(pk__gt=migration.queued_until).order_by("pk").values_list("pk", flat=True)[:CHUNK])
        if not rows:
            return False
        enqueue.plan_migration_items(rows)
        migration.queued_until = rows[-1]
        migration.save(update_fields=["queued_until"])
        return len(rows) == CHUNK


def migrate_item(item_id: int, is_final: Callable[[Exception], bool]) -> None:
    """Move one subscriber. Does nothing if this was already done or the move was stopped.

    Errors are re-raised, so that the job is retried. If `is_final` returns True for an error, the subscriber is marked as failed instead.
    """
    item = PlanMigrationItem.objects.select_related("migration__to_version", "migration__created_by").get(pk=item_id)
    migration = item.migration
    if item.state != PlanMigrationItem.State.WAITING or migration.stopped_at:
        return
    try:
        refused = plan_migration.migrate_subscription(
            item.stripe_subscription_id, migration.to_version.version, migration.created_by, migration.reason
        )
    except Exception as error:
        if not is_final(error):
            raise
        _settle(item, PlanMigrationItem.State.FAILED, f"{type(error).__name__}: {error}")
        return
    _settle(item, PlanMigrationItem.State.SKIPPED if refused else PlanMigrationItem.State.MOVED, refused)


def _settle(item: PlanMigrationItem, state: PlanMigrationItem.State, note: str) -> None:
    """Store the result of a subscriber and count it, once."""
    with transaction.atomic():
        settled = PlanMigrationItem.objects.waiting().filter(pk=item.pk).update(state=state, note=note[:300], settled_at=now())
        if not settled:
            return
        migrations = PlanMigration.objects.filter(pk=item.migration_id)
        migrations.update(**{str(state): F(str(state)) + 1})
        migrations.filter(total=F("moved") + F("skipped") + F("failed")).update(finished_at=now())


def stop(migration: PlanMigration, actor: User, reason: str) -> None:
    """Stop a move. Running jobs finish; queued jobs do nothing. Raises `MigrationFinished`."""
    with transaction.atomic():
        row = PlanMigration.objects.select_for_update(of=("self",)).select_related("to_version").get(pk=migration.pk)
        if row.finished_at or row.stopped_at:
            raise MigrationFinished
        before = {"state": row.state, "settled": row.settled}
        row.stopped_at = now()
        row.save(update_fields=["stopped_at"])
        _record("stopped", row, actor, reason, before=before, after={"state": row.state})


def resume(migration: PlanMigration, actor: User, reason: str) -> None:
    """Continue a stopped move, and retry the subscribers that failed. Raises `MigrationFinished` if nothing is left to do."""
    with transaction.atomic():
        row = PlanMigration.objects.select_for_update(of=("self",)).select_related("to_version").get(pk=migration.pk)
        before = {"state": row.state, "failed": row.failed}
        repeated = row.items.filter(state=PlanMigrationItem.State.FAILED).update(state=PlanMigrationItem.State.WAITING, settled_at=None)
        if not repeated and not row.stopped_at:
            raise MigrationFinished
        row.failed -= repeated
        row.stopped_at, row.queued_until = None, 0
        row.finished_at = None if repeated or row.total is None or row.settled < row.total else row.finished_at
        row.save(update_fields=["failed", "stopped_at", "queued_until", "finished_at"])
        _record("resumed", row, actor, reason, before=before, after={"state": row.state, "repeated": repeated})
        enqueue.plan_migration(str(row.pk))


def _sources(to_version: PlanVersion, from_version: PlanVersion | None) -> list[PlanVersion]:
    if from_version is not None:
        return [from_version]
    return list(PlanVersion.objects.filter(plan=to_version.plan).exclude(pk=to_version.pk))


def _record(verb: str, migration: PlanMigration, actor: User, reason: str, *, before: dict[str, object], after: dict[str, object]) -> None:
    record(
        f"plan_migration.{verb}",
        organization=None,
        actor=actor,
        target=f"{migration.to_version} {migration.pk}",
        reason=reason,
        before=before,
        after=after,
    )
