"""What is used and what is left, as the pages draw it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from accounts.models import Organization
from contextmcp.common.clock import now
from entitlements.catalog import CATALOG
from entitlements.types import Kind
from usage import selectors
from usage.selectors import Standing
from usage.spans import Span, ceil, floor
from usage.tracker import UsageTracker

DAYS = 30
# The drawing's own units; the page scales it.
CHART_HEIGHT = 120
BAR_WIDTH = 10
BAR_STEP = 14


@dataclass(frozen=True)
class Meter:
    """`level` is "ok", "near" (80 %) or "full". `included` of None is unlimited."""

    feature: str
    title: str
    kind: Kind
    unit: str
    used: int | None
    included: int | None
    overage: int
    resets_at: datetime | None
    level: str

    @property
    def is_rate(self) -> bool:
        return self.kind is Kind.RATE

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
    bars: tuple[Bar, ...]
    total: int
    highest: int
    width: int = BAR_STEP * DAYS
    height: int = CHART_HEIGHT


def meters(organization: Organization) -> list[Meter]:
    """What the plan has any of, in the catalogue's order."""
    return [_meter(standing) for standing in UsageTracker(organization).current().usage if standing.included != 0 or standing.used]


def chart(organization: Organization, feature: str) -> Chart:
    """The last thirty days of one meter."""
    present = now(organization)
    first = floor(present, "day") - timedelta(days=DAYS - 1)
    span = Span("day", "meter", first, ceil(present, "day"), feature)
    totals = {total.start: max(0, total.amount) for total in selectors.history(organization, span)}
    days = [first + timedelta(days=number) for number in range(DAYS)]
    highest = max(totals.values(), default=0)
    declared = CATALOG.feature(feature)
    return Chart(
        title=declared.title if declared else feature,
        bars=tuple(_bar(number, day, totals.get(day, 0), highest) for number, day in enumerate(days)),
        total=sum(totals.values()),
        highest=highest,
    )


def _bar(number: int, day: datetime, amount: int, highest: int) -> Bar:
    # A day with anything at all is seen.
    height = max(3, round(CHART_HEIGHT * amount / highest)) if amount else 0
    return Bar(day, amount, number * BAR_STEP + 2, CHART_HEIGHT - height, height)


def _meter(standing: Standing) -> Meter:
    declared = CATALOG.feature(standing.feature)
    share = (standing.used or 0) / standing.included if standing.included else 0
    return Meter(
        feature=standing.feature,
        title=declared.title if declared else standing.feature,
        kind=standing.kind,
        unit=declared.unit if declared else "",
        used=standing.used,
        included=standing.included,
        overage=standing.overage,
        resets_at=standing.resets_at,
        level="full" if share >= 1 else "near" if share >= 0.8 else "ok",
    )
