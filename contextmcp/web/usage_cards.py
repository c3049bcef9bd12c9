"""Usage meters and the usage chart of the account pages."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from accounts.models import Organization
from contextmcp.common.clock import now
from entitlements.catalog import CATALOG, Feature
from entitlements.types import Kind
from usage import selectors
from usage.history_query import HistoryQuery, ceil, floor
from usage.selectors import FeatureUsage, ToolTotal

DAYS = 30
# Units of the SVG's coordinate system.
CHART_HEIGHT = 120
BAR_WIDTH = 10
BAR_STEP = 14


@dataclass(frozen=True)
class UsageCard:
    """A usage meter. `tone` is "ok", "near" (80 %) or "full". An `included` of None is unlimited."""

    feature: str
    title: str
    kind: Kind
    unit: str
    used: int | None
    included: int | None
    overage: int
    resets_at: datetime | None
    tone: str

    @property
    def is_rate(self) -> bool:
        return self.kind is Kind.RATE_LIMIT

    @property
    def bounded(self) -> bool:
        return self.included is not None and self.used is not None


@dataclass(frozen=True)
class Bar:
    day: datetime
    amount: int
    x: int
    y: int
    height: int


@dataclass(frozen=True)
class Chart:
    title: str
    noun: str
    bars: tuple[Bar, ...]
    total: int
    highest: int
    width: int = BAR_STEP * DAYS
    height: int = CHART_HEIGHT


def usage_cards(usage: list[FeatureUsage]) -> list[UsageCard]:
    """Return a meter for each feature that the plan includes or that is used, in the order of the catalog."""
    return [_meter(feature_usage) for feature_usage in usage if feature_usage.included != 0 or feature_usage.used]


def home_cards(usage: list[FeatureUsage]) -> list[UsageCard]:
    """Return the meters of the account's overview, in the places that the catalog gives them."""
    places = {feature.name: feature.home for feature in CATALOG.features if feature.home}
    return sorted((card for card in usage_cards(usage) if card.feature in places), key=lambda card: places[card.feature])


def main_chart(organization: Organization) -> Chart | None:
    """Return the chart of the catalog's main meter, or None if it has none."""
    return chart(organization, CATALOG.main_meter) if CATALOG.main_meter else None


def top_tools(organization: Organization) -> list[ToolTotal]:
    """Return the MCP tools with the most charged calls in the days of the chart."""
    return selectors.tool_totals(_first_day(now(organization)), organization)


def chart(organization: Organization, feature: Feature) -> Chart:
    """Return the chart of a feature's usage on the last thirty days."""
    present = now(organization)
    first = _first_day(present)
    span = HistoryQuery("day", "meter", first, ceil(present, "day"), feature.name)
    totals = {total.start: max(0, total.amount) for total in selectors.history(organization, span)}
    days = [first + timedelta(days=number) for number in range(DAYS)]
    highest = max(totals.values(), default=0)
    return Chart(
        title=feature.title,
        noun=feature.plural_noun,
        bars=tuple(_bar(number, day, totals.get(day, 0), highest) for number, day in enumerate(days)),
        total=sum(totals.values()),
        highest=highest,
    )


def _first_day(present: datetime) -> datetime:
    return floor(present, "day") - timedelta(days=DAYS - 1)


def _bar(number: int, day: datetime, amount: int, highest: int) -> Bar:
    # A minimum height keeps days with little usage visible.
    height = max(3, round(CHART_HEIGHT * amount / highest)) if amount else 0
    return Bar(day, amount, number * BAR_STEP + 2, CHART_HEIGHT - height, height)


def _meter(feature_usage: FeatureUsage) -> UsageCard:
    declared = CATALOG.feature(feature_usage.feature)
    share = (feature_usage.used or 0) / feature_usage.included if feature_usage.included else 0
    return UsageCard(
        feature=feature_usage.feature,
        title=declared.title if declared else feature_usage.feature,
        kind=feature_usage.kind,
        unit=declared.unit if declared else "",
        used=feature_usage.used,
        included=feature_usage.included,
        overage=feature_usage.overage,
        resets_at=feature_usage.resets_at,
        tone="full" if share >= 1 else "near" if share >= 0.8 else "ok",
    )
