"""The plan catalog as cards and a comparison table for the pricing page."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.utils.text import get_text_list

from billing.types import Subscription
from contextmcp.common.money import format_amount
from entitlements.catalog import CATALOG, Feature, Plan, Price
from entitlements.manager import EntitlementsManager
from entitlements.types import Kind

INTERVAL_TITLES = {Kind.QUOTA: " per month", Kind.RATE_LIMIT: " per minute"}


@dataclass(frozen=True)
class CardPrice:
    """A formatted price. `per_month` is what a yearly price costs per month, and empty for a monthly price."""

    interval: str
    amount: str
    per_month: str


@dataclass(frozen=True)
class PlanCard:
    """One plan with its formatted prices. `adds` are the features that the `previous` plan does not have."""

    plan: Plan
    prices: tuple[CardPrice, ...]
    recommended: bool
    highlights: tuple[str, ...]
    adds: tuple[str, ...]
    previous: str

    @property
    def is_free(self) -> bool:
        return not self.prices

    @property
    def free_price(self) -> str:
        return _short(0, CATALOG.currency)

    def price(self, interval: str) -> CardPrice | None:
        """Return the price for the interval, or for the other one if the plan is not billed by this one."""
        return next((price for price in self.prices if price.interval == interval), self.prices[0] if self.prices else None)

    @property
    def by_month(self) -> CardPrice | None:
        return self.price("month")

    @property
    def by_year(self) -> CardPrice | None:
        return self.price("year")


@dataclass(frozen=True)
class FeatureRow:
    """A row of the comparison: one feature, with True, False or a formatted amount for each plan."""

    title: str
    summary: str
    cells: tuple[bool | str, ...]


@dataclass(frozen=True)
class FeatureGroup:
    title: str
    rows: tuple[FeatureRow, ...]


def cards() -> list[PlanCard]:
    plans = EntitlementsManager.plans()
    return [_card(plan, previous) for plan, previous in zip(plans, (None, *plans), strict=False)]


def table() -> list[FeatureGroup]:
    plans = EntitlementsManager.plans()
    titles = dict.fromkeys(feature.group for feature in CATALOG.features)
    return [FeatureGroup(title, tuple(_row(feature, plans) for feature in CATALOG.features if feature.group == title)) for title in titles]


def intervals() -> list[str]:
    """Return the intervals that plans are billed by: "month", "year", or both."""
    billed = {price.interval for plan in EntitlementsManager.plans() for price in plan.prices}
    return [interval for interval in ("month", "year") if interval in billed]


def saving() -> int:
    """Return the minimum percentage that yearly billing saves over twelve months."""
    priced = [(plan.price("month"), plan.price("year")) for plan in EntitlementsManager.plans()]
    return min((round(100 - 100 * year.amount / (12 * month.amount)) for month, year in priced if month and year), default=0)


def titles(condition: Callable[[Plan], bool]) -> str:
    """Return the titles of the plans that meet the condition, as in "A, B and C"."""
    return get_text_list([plan.title for plan in EntitlementsManager.plans() if condition(plan)], "and")


def questions() -> list[Feature]:
    """Return the features that the catalog explains on the pricing page."""
    return [feature for feature in CATALOG.features if feature.question]


def amount(feature: Feature, plan: Plan) -> bool | str:
    """Return the plan's value of a feature: True, False or a text such as "1,000 per month"."""
    term = plan.features.get(feature.name)
    if term is None or not term.grants:
        return False
    if term.kind is Kind.BOOLEAN:
        return True
    if term.value is None:
        return "Unlimited"
    return f"{term.value:,}{_unit(feature)}{INTERVAL_TITLES.get(term.kind, '')}"


def _unit(feature: Feature) -> str:
    return f" {feature.unit}" if feature.unit else ""


@dataclass(frozen=True)
class PlanChoice:
    """A plan and billing interval that a subscriber can change to."""

    plan: str
    title: str
    interval: str
    price: str
    upgrade: bool


def choices(present: Subscription) -> list[PlanChoice]:
    """Return the plans and intervals that the subscription can change to."""
    if not present.can_change:
        return []
    current_rank = _rank(present.plan, present.interval)
    return [
        PlanChoice(
            plan.name, plan.title, price.interval, _short(price.amount, price.currency), _rank(plan.name, price.interval) > current_rank
        )
        for plan in EntitlementsManager.plans()
        for price in plan.prices
        if (plan.name, price.interval) != (present.plan, present.interval)
    ]


def _rank(plan: str, interval: str | None) -> tuple[int, bool]:
    return CATALOG.rank(plan), interval == "year"


def _card(plan: Plan, previous: Plan | None) -> PlanCard:
    return PlanCard(
        plan=plan,
        prices=tuple(_card_price(price) for price in sorted(plan.prices, key=lambda price: price.interval)),
        recommended=plan.name == CATALOG.recommended,
        highlights=tuple(_highlights(plan)),
        adds=tuple(_adds(plan, previous)),
        previous=previous.title if previous else "",
    )


def _card_price(price: Price) -> CardPrice:
    per_month = format_amount(round(price.amount / 12), price.currency) if price.interval == "year" else ""
    return CardPrice(price.interval, _short(price.amount, price.currency), per_month)


def _short(minor: int, currency: str) -> str:
    """Format an amount without zero cents: "$9" for en-US, "9 $" for de-DE."""
    return re.sub(r"[.,]00(?!\d)", "", format_amount(minor, currency))


def _highlights(plan: Plan) -> Iterator[str]:
    highlighted = [feature for feature in CATALOG.features if feature.highlight and plan.grants(feature.name)]
    for feature in sorted(highlighted, key=lambda feature: feature.highlight or 0):
        value = plan.features[feature.name].value
        if feature.kind is Kind.BOOLEAN:
            yield feature.title
        elif value is None:
            yield f"Unlimited {feature.noun()}"
        else:
            yield f"{value:,}{_unit(feature)} {feature.noun(value)}{INTERVAL_TITLES.get(feature.kind, '')}"


def _adds(plan: Plan, previous: Plan | None) -> Iterator[str]:
    for feature in CATALOG.features:
        if feature.kind is Kind.BOOLEAN and plan.grants(feature.name) and not (previous and previous.grants(feature.name)):
            yield feature.title


def _row(feature: Feature, plans: tuple[Plan, ...]) -> FeatureRow:
    return FeatureRow(feature.title, feature.summary, tuple(amount(feature, plan) for plan in plans))
