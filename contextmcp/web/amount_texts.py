"""Amounts of features and prices as texts of the pages."""

import re

from django.utils.translation import gettext as _

from contextmcp.common.formatting import format_number
from contextmcp.common.money import format_amount
from entitlements.catalog import CATALOG
from entitlements.types import Kind


def short_amount(minor: int, currency: str) -> str:
    """Format an amount without zero cents: "$9" for en-US, "9 $" for de-DE."""
    return re.sub(r"[.,]00(?!\d)", "", format_amount(minor, currency))


def price_per_interval(minor: int, currency: str, interval: str | None) -> str:
    """Return a price such as "$9.00 per month"."""
    amount = {"amount": format_amount(minor, currency)}
    return _("%(amount)s per year") % amount if interval == "year" else _("%(amount)s per month") % amount


def feature_amount(feature: str, kind: Kind, value: int | None) -> str:
    """Return an amount of a feature such as "1,000 per month" or "100 MB". None is unlimited."""
    if value is None:
        return _("Unlimited")
    declared = CATALOG.feature(feature)
    amount = f"{format_number(value)} {declared.unit}" if declared and declared.unit else format_number(value)
    if kind is Kind.QUOTA:
        return _("%(amount)s per month") % {"amount": amount}
    if kind is Kind.RATE_LIMIT:
        return _("%(amount)s per minute") % {"amount": amount}
    return amount


def counted_feature(feature: str, kind: Kind, value: int | None) -> str:
    """Return an amount with its noun, such as "1,000 sessions per month". None is unlimited."""
    if value is None:
        return _("Unlimited %(feature)s") % {"feature": CATALOG.noun(feature)}
    declared = CATALOG.feature(feature)
    unit = f" {declared.unit}" if declared and declared.unit else ""
    amount = {"amount": f"{format_number(value)}{unit}", "feature": CATALOG.noun(feature, value)}
    if kind is Kind.QUOTA:
        return _("%(amount)s %(feature)s per month") % amount
    if kind is Kind.RATE_LIMIT:
        return _("%(amount)s %(feature)s per minute") % amount
    return f"{amount['amount']} {amount['feature']}"
