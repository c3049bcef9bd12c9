"""Store the findings of the sources: new items, reopened items, and items whose problem has ended."""

from datetime import datetime, timedelta

import structlog
from django.db import DatabaseError, transaction
from django.db.models import Q

from accounts.models import WorkItem
from contextmcp.common.clock import now

from .sources import SOURCES, Finding, Source

log = structlog.get_logger(__name__)
BATCH = 500
RETENTION = timedelta(days=365)


def collect(minute: int = 0) -> None:
    """Read the sources that are due in this minute (a count of minutes; 0: all of them), each in its own transaction."""
    for source in SOURCES.values():
        if minute % source.every_minutes:
            continue
        try:
            with transaction.atomic():
                collect_source(source, now())
        except DatabaseError:
            # An error in one source must not hide the problems of the others.
            log.exception("work_queue.source_failed", kind=source.kind)


def collect_source(source: Source, present: datetime) -> None:
    """Update the items of one source."""
    findings = {finding.object_id: finding for finding in source.find(present)}
    known = {item.object_id: item for item in WorkItem.objects.filter(kind=source.kind, object_id__in=findings)}
    WorkItem.objects.bulk_create(
        [_new_item(source, finding, present) for identity, finding in findings.items() if identity not in known],
        ignore_conflicts=True,
    )
    for identity, item in known.items():
        _update(source, item, findings[identity], present)
    if source.ends:
        _close_ended(source, present, set(findings))


def _new_item(source: Source, finding: Finding, present: datetime) -> WorkItem:
    return WorkItem(kind=source.kind, object_id=finding.object_id, first_seen_at=present, last_seen_at=present, **_content(source, finding))


def _content(source: Source, finding: Finding) -> dict[str, object]:
    return {
        "title": finding.title[:255],
        "detail": finding.detail.replace("\0", ""),
        "organization_id": finding.organization_id,
        "occurrence": finding.occurrence[:100],
        "priority": int(source.priority),
    }


def _update(source: Source, item: WorkItem, finding: Finding, present: datetime) -> None:
    content = _content(source, finding)
    happened_again = item.occurrence != content["occurrence"]
    changed = {name: value for name, value in content.items() if getattr(item, name) != value}
    if happened_again:
        changed["last_seen_at"] = present
    # An item that was closed automatically reopens when its problem is found again. An item that staff closed reopens only if the problem
    # occurs again.
    if item.closed_at is not None and (happened_again or item.closed_by_id is None):
        changed |= {"closed_at": None, "closed_by": None, "note": "", "snoozed_until": None, "last_seen_at": present}
    if changed:
        # `closed_at` is compared again, because staff may have closed the item since it was read.
        WorkItem.objects.filter(pk=item.pk, closed_at=item.closed_at).update(**changed)


def _close_ended(source: Source, present: datetime, found: set[str]) -> None:
    """Close the open items whose problem has ended. Items beyond the source's limit are checked by their IDs."""
    unconfirmed = WorkItem.objects.filter(kind=source.kind, closed_at=None).exclude(object_id__in=found)
    for start in range(0, len(rows := list(unconfirmed.values_list("pk", "object_id"))), BATCH):
        batch = rows[start : start + BATCH]
        remaining = source.remaining(present, [identity for _, identity in batch])
        ended = [pk for pk, identity in batch if identity not in remaining]
        WorkItem.objects.filter(pk__in=ended, closed_at=None).update(closed_at=present, closed_by=None, note="The problem ended.")


def purge() -> None:
    """Delete items past retention."""
    WorkItem.objects.filter(Q(closed_at__lt=now() - RETENTION)).delete()
