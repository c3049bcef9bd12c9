"""The plan catalog as cards and a comparison table for the pricing page."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from babel.lists import format_list
from django.conf import settings
from django.utils.translation import gettext as _

from contextmcp.common import locale
from contextmcp.common.money import format_amount
from entitlements.catalog import CATALOG, Feature, Plan, Price, Question
from entitlements.manager import EntitlementsManager
from entitlements.types import Kind

from .amount_texts import counted_feature, feature_amount, short_amount


@dataclass(frozen=True)
class CardPrice:
    """A formatted price. `per_month` is what a yearly price costs per month, and empty for a monthly price."""

    interval: str
    amount: str
    per_month: str


@dataclass(frozen=True)
class PlanCard:
    """One plan with its formatted prices. `adds` are the features that the `previous` plan does not have.

    `contact` is the URL to ask for a plan that is sold by agreement.
    """

    plan: Plan
    prices: tuple[CardPrice, ...]
    recommended: bool
    highlights: tuple[str, ...]
    adds: tuple[str, ...]
    previous: str
    contact: str

    @property
    def is_free(self) -> bool:
        return not self.prices and not self.contact

    @property
    def free_price(self) -> str:
        return short_amount(0, CATALOG.currency)

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
    """Return the titles of the plans that meet the condition, as in "A, B, and C"."""
    return str(format_list([plan.title for plan in EntitlementsManager.plans() if condition(plan)], locale=locale.current.get()))


def questions() -> list[Question]:
    """Return the questions that the catalog answers on the pricing page."""
    answered = [*CATALOG.questions, *(Question(feature.question, feature.answer) for feature in CATALOG.features if feature.question)]
    return [Question(CATALOG.text(each.question), CATALOG.text(each.answer)) for each in answered]


def description() -> str:
    """Return the description of the pricing page for search engines and link previews."""
    monthly = [(price.amount, price.currency) for plan in EntitlementsManager.plans() for price in plan.prices if price.interval == "month"]
    product = {"product": settings.PRODUCT_NAME, "tagline": settings.PRODUCT_TAGLINE}
    if not monthly:
        return _("Plans and prices of %(product)s. %(tagline)s. Start free.") % product
    price = {"price": short_amount(*min(monthly))}
    return _("Plans and prices of %(product)s. %(tagline)s. Start free; paid plans from %(price)s per month.") % (product | price)


def amount(feature: Feature, plan: Plan) -> bool | str:
    """Return the plan's value of a feature: True, False or a text such as "1,000 per month"."""
    term = plan.features.get(feature.name)
    if term is None or not term.grants:
        return False
    return True if term.kind is Kind.BOOLEAN else feature_amount(feature.name, term.kind, term.value)


def _card(plan: Plan, previous: Plan | None) -> PlanCard:
    return PlanCard(
        plan=plan,
        prices=tuple(_card_price(price) for price in sorted(plan.prices, key=lambda price: price.interval)),
        recommended=plan.name == CATALOG.recommended,
        highlights=tuple(_highlights(plan)),
        adds=tuple(_adds(plan, previous)),
        previous=previous.title if previous else "",
        contact=CATALOG.contacts.get(plan.name, ""),
    )


def _card_price(price: Price) -> CardPrice:
    per_month = format_amount(round(price.amount / 12), price.currency) if price.interval == "year" else ""
    return CardPrice(price.interval, short_amount(price.amount, price.currency), per_month)


def _highlights(plan: Plan) -> Iterator[str]:
    highlighted = [feature for feature in CATALOG.features if feature.highlight and plan.grants(feature.name)]
    for feature in sorted(highlighted, key=lambda feature: feature.highlight or 0):
        value = plan.features[feature.name].value
        yield feature.title if feature.kind is Kind.BOOLEAN else counted_feature(feature.name, feature.kind, value)


def _adds(plan: Plan, previous: Plan | None) -> Iterator[str]:
    for feature in CATALOG.features:
        if feature.kind is Kind.BOOLEAN and plan.grants(feature.name) and not (previous and previous.grants(feature.name)):
            yield feature.title


def _row(feature: Feature, plans: tuple[Plan, ...]) -> FeatureRow:
    return FeatureRow(feature.title, feature.summary, tuple(amount(feature, plan) for plan in plans))
