"""Helpers that billing's admin pages share: columns of amounts, the row limit of actions that call Stripe, and redaction of JSON fields."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import JSONField
from django.http import HttpRequest

from billing.stripe.redaction import without_secrets
from contextmcp.common.money import format_amount

# Row limit of actions that call Stripe for each row within the request.
MAX_STRIPE_ROWS = 10
# Values of Stripe's fields, for filters. https://docs.stripe.com/api/subscriptions/object, .../invoices/object, .../refunds/object,
# .../disputes/object, .../credit_notes/object
SUBSCRIPTION_STATUSES = ("trialing", "active", "past_due", "unpaid", "paused", "incomplete", "incomplete_expired", "canceled")
INTERVALS = ("month", "year")
INVOICE_STATUSES = ("draft", "open", "paid", "uncollectible", "void")
BILLING_REASONS = ("subscription_create", "subscription_cycle", "subscription_update", "subscription_threshold", "manual")
_REFUND_STATUSES = ("pending", "requires_action", "succeeded", "failed", "canceled")
_DISPUTE_STATUSES = ("needs_response", "under_review", "won", "lost", "warning_needs_response", "warning_under_review", "warning_closed")
ADJUSTMENT_STATUSES = (*_REFUND_STATUSES, *_DISPUTE_STATUSES, "issued", "void")


def amount(field: str, description: str = "") -> Callable[[Any, Any], str]:
    """Return an admin column that formats `field` (minor units) in the row's currency."""

    @admin.display(description=description or field.replace("_", " "), ordering=field)
    def formatted(self: Any, row: Any) -> str:
        minor = getattr(row, field)
        return "" if minor is None else format_amount(minor, row.currency or "usd")

    return formatted


class RedactedPage:
    """Mixin of read-only admin classes that removes secrets from the JSON of a row before its page shows it.

    Stripe's objects are stored without secrets. Rows that earlier versions or other sources wrote may still contain secrets.
    """

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        row = super().get_object(request, object_id, from_field)  # type: ignore[misc]
        for field in row._meta.concrete_fields if row is not None else ():
            if isinstance(field, JSONField):
                setattr(row, field.attname, without_secrets(getattr(row, field.attname)))
        return row
