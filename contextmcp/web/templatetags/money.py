from django import template

from contextmcp.common.money import format_amount
from contextmcp.common.text import words

register = template.Library()


@register.filter
def money(minor: int | None, currency: str | None) -> str:
    """Format minor units: 900 and "usd" become "$9.00". None becomes an empty string."""
    return "" if minor is None else format_amount(minor, currency or "usd")


@register.filter
def spaced(identifier: str) -> str:
    """Return an identifier as words."""
    return words(identifier)
