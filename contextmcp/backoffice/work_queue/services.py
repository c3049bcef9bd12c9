"""Changes of work items by staff. Each is audited."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts import audit
from accounts.models import User, WorkItem
from contextmcp.backoffice.errors import WorkItemClosed, WorkItemOpen
from contextmcp.common.clock import now
from contextmcp.common.errors import ValidationFailed

HANDLE = "accounts.handle_workitem"


def assign(item: WorkItem, owner: User | None, actor: User, reason: str) -> None:
    """Make `owner` responsible for the item; None removes the owner.

    Raises `WorkItemClosed`, and `ValidationFailed` if the owner may not work on items.
    """
    if owner is not None and not (owner.is_active and owner.is_staff and owner.has_perm(HANDLE)):
        raise ValidationFailed("This person cannot handle work items. Select a staff member with the permission.")
    _change(item, "work_item.assigned", actor, reason, _require_open, owner=owner)


def snooze(item: WorkItem, until: datetime, actor: User, reason: str) -> None:
    """Hide the item until `until`. Raises `WorkItemClosed`, and `ValidationFailed` for a time in the past."""
    if until <= now():
        raise ValidationFailed("Enter a time in the future.")
    _change(item, "work_item.snoozed", actor, reason, _require_open, snoozed_until=until)


def close(item: WorkItem, actor: User, reason: str) -> None:
    """Mark the item as done. `reason` is what was done. It reopens if the problem occurs again. Raises `WorkItemClosed`."""
    _change(item, "work_item.closed", actor, reason, _require_open, closed_at=now(), closed_by=actor, note=reason[:200], snoozed_until=None)


def reopen(item: WorkItem, actor: User, reason: str) -> None:
    """Open a closed or snoozed item. Raises `WorkItemOpen`."""
    _change(item, "work_item.reopened", actor, reason, _require_hidden, closed_at=None, closed_by=None, note="", snoozed_until=None)


def _require_open(item: WorkItem) -> None:
    if item.closed_at is not None:
        raise WorkItemClosed


def _require_hidden(item: WorkItem) -> None:
    if item.closed_at is None and (item.snoozed_until is None or item.snoozed_until <= now()):
        raise WorkItemOpen


def _change(item: WorkItem, action: str, actor: User, reason: str, check: Callable[[WorkItem], None], **values: Any) -> None:
    with transaction.atomic():
        locked = WorkItem.objects.select_for_update(of=("self",)).select_related("owner", "closed_by", "organization").get(pk=item.pk)
        check(locked)
        before = {name: _plain(getattr(locked, name)) for name in values}
        for name, value in values.items():
            setattr(locked, name, value)
        locked.save(update_fields=list(values))
        audit.record(
            action,
            organization=locked.organization,
            actor=actor,
            target=f"{locked.kind} {locked.object_id}",
            before=before,
            after={name: _plain(value) for name, value in values.items()},
            reason=reason,
        )


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value) if isinstance(value, User) else value
