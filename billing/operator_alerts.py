"""Operator alerts of billing: its kinds, and the errors that only the operator can fix. See `accounts.operator_alerts`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from accounts import operator_alerts
from accounts.models import Organization
from contextmcp.common.errors import DomainError

log = structlog.get_logger(__name__)

COLLECTION_PAUSED = "collection_paused"
PLANNED_CHANGE_LOST = "planned_change_lost"
PRICE_REGISTERED = "price_registered"
UNKNOWN_PRICE = "unknown_price"
UNLINKED_PURCHASE = "unlinked_purchase"


@contextmanager
def alert_on_refusal(organization: Organization | None) -> Iterator[None]:
    """Open an alert if the block raises an error that only the operator can fix. The error is re-raised."""
    try:
        yield
    except DomainError as refusal:
        alert_operator(refusal, organization)
        raise


def alert_operator(error: Exception, organization: Organization | None) -> None:
    """Open an alert if only the operator can fix the cause of `error`."""
    if isinstance(error, DomainError) and needs_operator(error):
        raise_alert(error.code, organization, message=str(error))


def needs_operator(error: Exception) -> bool:
    """Return whether only the operator can fix the cause of `error`."""
    return bool(getattr(error, "needs_operator", False))


def raise_alert(kind: str, organization: Organization | None = None, *, subject: str = "", message: str = "", **details: Any) -> None:
    """Log one occurrence of `kind` and record it, with Stripe's `message` or with `details`. `subject` is the ID of its object."""
    texts = {name: str(value) for name, value in details.items()}
    log.warning(f"billing.{kind}", organization=str(organization.pk) if organization else None, **texts)
    operator_alerts.raise_alert(kind, organization, subject=subject, message=message, **texts)
