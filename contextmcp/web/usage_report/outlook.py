"""The current usage month of a quota: how much is left, where it ends at the present pace, and what overage costs so far."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from contextmcp.web.organization_state import Overage
from usage.history_query import floor
from usage.selectors import FeatureUsage

from .report import Report

# The pace is that of the last days, so that a change of habits shows soon, and of whole weeks, because most usage is on working days.
PACE_OF = timedelta(days=7)
# Earlier, a few hours would be extrapolated to a month.
FORECAST_AFTER = timedelta(days=1)


@dataclass(frozen=True)
class Forecast:
    """The usage at the end of the usage month if it continues at the pace of the last `days` days.

    `reaches_limit_at` is when the included units are used up, if they are not yet.
    """

    amount: int
    days: int
    reaches_limit_at: datetime | None


@dataclass(frozen=True)
class Outlook:
    """The state of a quota. `included` is None if it is unlimited; `overage` is None if the plan sells none of this feature."""

    used: int
    included: int | None
    ends: datetime
    forecast: Forecast | None
    overage: Overage | None

    @property
    def remaining(self) -> int:
        return max(0, (self.included or 0) - self.used)

    @property
    def over(self) -> int:
        """Return the units used beyond the included ones."""
        return 0 if self.included is None else max(0, self.used - self.included)

    @property
    def sells_overage(self) -> bool:
        return self.overage is not None and self.overage.state.enabled

    @property
    def is_refusing(self) -> bool:
        """Return whether the next unit is refused."""
        if self.included is None or self.used < self.included:
            return False
        return self.overage is None or not self.sells_overage or self.overage.cap_reached

    @property
    def tone(self) -> str:
        """Return "full" when the next unit is refused, "near" from 80 % of what is included, otherwise "ok"."""
        if self.is_refusing:
            return "full"
        return "near" if self.included is not None and self.used * 5 >= self.included * 4 else "ok"

    @property
    def forecast_over(self) -> int:
        """Return the units beyond the included ones that the forecast expects."""
        return 0 if self.forecast is None or self.included is None else max(0, self.forecast.amount - self.included)

    @property
    def forecast_cost(self) -> int | None:
        """Return what the expected overage costs, at most the spending cap, in minor units. None if no overage is sold or expected."""
        if self.overage is None or not self.sells_overage or not self.forecast_over:
            return None
        cost = self.forecast_over * self.overage.state.unit_amount
        return cost if self.overage.state.cap is None else min(cost, self.overage.state.cap)

    @property
    def cap_units(self) -> int | None:
        """Return the usage at which the spending cap is reached, or None without overage."""
        if self.overage is None or not self.sells_overage or self.included is None or self.overage.state.cap is None:
            return None
        return self.included + self.overage.state.cap // self.overage.state.unit_amount


def build_outlook(report: Report, usage: FeatureUsage, overage: Overage | None, at: datetime) -> Outlook:
    """Return the outlook of the report's feature. The report must cover the current usage month.

    What is used is read from the counter, which also decides whether requests are refused.
    """
    used, included = usage.used or 0, usage.included
    sold = overage if overage is not None and overage.state.feature == report.feature else None
    outlook = Outlook(used, included, report.period.ends, None, sold)
    forecast = None if outlook.is_refusing else _forecast(report, used, included, at)
    return Outlook(used, included, report.period.ends, forecast, sold)


def _forecast(report: Report, used: int, included: int | None, at: datetime) -> Forecast | None:
    since = report.period.since
    if at - since < FORECAST_AFTER or used <= 0:
        return None
    start = max(since, floor(at, "day") - PACE_OF)
    recent = sum(row.total for row in report.rows if row.start >= floor(start, "day"))
    per_second = max(0, recent) / (at - start).total_seconds()
    amount = used + round(per_second * (report.period.ends - at).total_seconds())
    reaches = None
    if included is not None and used < included < amount:
        reaches = at + timedelta(seconds=(included - used) / per_second)
    return Forecast(amount, max(1, (at - start).days), reaches)
