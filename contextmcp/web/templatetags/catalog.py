"""Titles and nouns of the catalog's plans and features."""

from django import template

from entitlements.catalog import CATALOG

register = template.Library()


@register.filter
def plan_title(name: str) -> str:
    """Return the title of the plan with this name."""
    return CATALOG.plan_title(name)


@register.filter
def noun(feature: str, amount: int | None = None) -> str:
    """Return the word that follows an amount of the feature, by default more than one."""
    return CATALOG.noun(feature, amount)
