"""The catalogue as the pricing page shows it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from billing.types import Subscription
from contextmcp.common.money import format_amount
from entitlements.catalog import CATALOG, Feature, Plan
from entitlements.manager import EntitlementsManager
from entitlements.types import Kind

HIGHLIGHTS = ("sessions", "projects", "team_members", "context_cache_mb", "best_practices")
PER = {Kind.QUOTA: " a month", Kind.RATE: " a minute"}


@dataclass(frozen=True)
class Card:
    """One plan to choose. Prices are text; `yearly_month` is what a year comes to by the month."""

    plan: Plan
    monthly: str
    yearly: str
    yearly_month: str
    highlights: tuple[str, ...]
    adds: tuple[str, ...]
    previous: str

    @property
    def is_free(self) -> bool:
        return not self.plan.prices


@dataclass(frozen=True)
class Row:
    """One feature across the plans: True, False or the text of an amount."""

    title: str
    summary: str
    cells: tuple[bool | str, ...]


@dataclass(frozen=True)
class Group:
    title: str
    rows: tuple[Row, ...]


def cards() -> list[Card]:
    plans = EntitlementsManager.plans()
    return [_card(plan, previous) for plan, previous in zip(plans, (None, *plans), strict=False)]


def table() -> list[Group]:
    plans = EntitlementsManager.plans()
    titles = dict.fromkeys(feature.group for feature in CATALOG.features)
    return [Group(title, tuple(_row(feature, plans) for feature in CATALOG.features if feature.group == title)) for title in titles]


def saving() -> int:
    """How many percent a year saves over twelve months, at least."""
    priced = [(plan.price("month"), plan.price("year")) for plan in EntitlementsManager.plans()]
    return min((round(100 - 100 * year.amount / (12 * month.amount)) for month, year in priced if month and year), default=0)


def amount(feature: Feature, plan: Plan) -> bool | str:
    """What a plan has of a feature: True, False or text such as "1,000 a month"."""
    term = plan.features.get(feature.name)
    if term is None or not term.grants:
        return False
    if term.kind is Kind.FLAG:
        return True
    if term.value is None:
        return "Unlimited"
    unit = f" {feature.unit}" if feature.unit else ""
    return f"{term.value:,}{unit}{PER.get(term.kind, '')}"


@dataclass(frozen=True)
class Choice:
    """A plan and interval one could change to."""

    plan: str
    title: str
    interval: str
    price: str


def choices(present: Subscription) -> list[Choice]:
    """What a subscriber could have instead."""
    if not present.is_live:
        return []
    return [
        Choice(plan.name, plan.title, price.interval, _short(price.amount, price.currency))
        for plan in EntitlementsManager.plans()
        for price in plan.prices
        if (plan.name, price.interval) != (present.plan, present.interval)
    ]


def _card(plan: Plan, previous: Plan | None) -> Card:
    month, year = plan.price("month"), plan.price("year")
    currency = month.currency if month else "usd"
    return Card(
        plan=plan,
        monthly=_short(month.amount, currency) if month else _short(0, currency),
        yearly=_short(year.amount, year.currency) if year else "",
        yearly_month=format_amount(round(year.amount / 12), year.currency) if year else "",
        highlights=tuple(_highlights(plan)),
        adds=tuple(_adds(plan, previous)),
        previous=previous.title if previous else "",
    )


def _short(minor: int, currency: str) -> str:
    """Without cents where there are none: "$9" in New York, "9 $" in Berlin."""
    return re.sub(r"[.,]00(?!\d)", "", format_amount(minor, currency))


def _highlights(plan: Plan) -> Iterator[str]:
    for name in HIGHLIGHTS:
        feature = CATALOG.feature(name)
        said = amount(feature, plan) if feature else False
        if feature and said:
            noun = feature.title.lower() if said != "1" else feature.title.lower().removesuffix("s")
            text = str(said)
            yield f"{text} {noun}" if " a month" not in text else f"{text.replace(' a month', '')} {noun} a month"


def _adds(plan: Plan, previous: Plan | None) -> Iterator[str]:
    for feature in CATALOG.features:
        if feature.kind is Kind.FLAG and plan.grants(feature.name) and not (previous and previous.grants(feature.name)):
            yield feature.title


def _row(feature: Feature, plans: tuple[Plan, ...]) -> Row:
    return Row(feature.title, feature.summary, tuple(amount(feature, plan) for plan in plans))
