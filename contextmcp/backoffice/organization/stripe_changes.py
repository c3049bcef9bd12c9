"""The result of a comparison with Stripe as a table."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from contextmcp.backoffice.wording import moment
from contextmcp.common.text import words

from .display import Table, money, row

# Columns of amounts in minor units.
_AMOUNTS = frozenset(
    ["unit_amount", "subtotal", "discount", "tax", "total", "amount_due", "amount_paid", "amount_remaining", "amount_refunded"]
)
_OBJECTS = {"subscriptionstate": "subscription", "invoice": "invoice"}


def change_table(changes: Iterable[tuple[str, str, Any, Any]], currency: str) -> Table:
    """Return the differences (kind, subject, value at Stripe, value here) as rows."""
    rows = tuple(
        row(_name(kind), subject, _text(kind, here, currency), _text(kind, there, currency)) for kind, subject, there, here in changes
    )
    return Table(("Value", "Object", "Here", "At Stripe"), rows, "No differences. The local data matches Stripe.")


def _name(kind: str) -> str:
    model, _, field = kind.partition("_")
    return f"{_OBJECTS[model]}: {words(field)}".capitalize() if model in _OBJECTS else words(kind).capitalize()


def _text(kind: str, value: Any, currency: str) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, int) and kind.partition("_")[2] in _AMOUNTS:
        return money(value, currency)
    return str(value)
