"""What billing's admin pages share: amounts formatted in their currency, and the row limit of actions that call Stripe."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin

from contextmcp.common.money import format_amount

# Row limit of actions that call Stripe for each row within the request.
MAX_STRIPE_ROWS = 10


def amount(field: str, description: str = "") -> Callable[[Any, Any], str]:
    """Return an admin column that formats `field` (minor units) in the row's currency."""

    @admin.display(description=description or field.replace("_", " "), ordering=field)
    def formatted(self: Any, row: Any) -> str:
        minor = getattr(row, field)
        return "" if minor is None else format_amount(minor, row.currency or "usd")

    return formatted
