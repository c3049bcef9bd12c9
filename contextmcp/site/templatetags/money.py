from django import template

from contextmcp.common.money import format_amount

register = template.Library()


@register.filter
def money(minor: int | None, currency: str | None) -> str:
    """900 and "usd" to "$9.00"; nothing to nothing."""
    return "" if minor is None else format_amount(minor, currency or "usd")


@register.filter
def spaced(identifier: str) -> str:
    """`team_members` to `team members`."""
    return identifier.replace("_", " ")
