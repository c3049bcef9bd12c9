"""Read the daily figures of a range of days. Each function takes one query, whatever the number of organizations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from django.db.models import Max, Sum

from billing.models import OrganizationDay, RevenueDay, RevenueMovement, RevenuePlanDay, UsageDay
from billing.models.revenue import RevenueSnapshot

from .monthly import monthly, monthly_parts

DAY = timedelta(days=1)
MOVEMENTS = ("new", "expansion", "reactivation", "contraction", "churn")
# Movements that reduce revenue.
NEGATIVE = ("contraction", "churn")


@dataclass(frozen=True)
class Period:
    """A range of days (UTC), including both."""

    first: date
    last: date

    @property
    def length(self) -> int:
        """Return the number of days."""
        return (self.last - self.first).days + 1

    @property
    def before(self) -> Period:
        """Return the previous period of the same length."""
        return Period(self.first - self.length * DAY, self.first - DAY)

    def days(self) -> Iterator[date]:
        """Yield the days in order."""
        return (self.first + number * DAY for number in range(self.length))


@dataclass(frozen=True)
class RevenueFigures:
    """The figures of a period in one currency. Amounts are minor units per month, except `arr` (per year) and `overage` (invoiced)."""

    opening: int = 0
    movements: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MOVEMENTS, 0))
    mrr: int = 0
    arr: int = 0
    at_risk: int = 0
    overage: int = 0
    customers: int = 0
    customers_at_start: int = 0
    new_customers: int = 0
    lost_customers: int = 0
    trials: int = 0
    trials_started: int = 0
    trials_converted: int = 0
    trials_lost: int = 0

    @property
    def net(self) -> int:
        """Return the change of the recurring revenue in the period."""
        return self.mrr - self.opening

    @property
    def trial_conversion(self) -> Fraction | None:
        """Return the share of the ended trials that became paid; None if none ended."""
        return _share(self.trials_converted, self.trials_converted + self.trials_lost)

    @property
    def customer_churn(self) -> Fraction | None:
        """Return the customers lost in the period as a share of those at its start; None without customers."""
        return _share(self.lost_customers, self.customers_at_start)

    @property
    def revenue_churn(self) -> Fraction | None:
        """Return the recurring revenue lost by churn and contraction as a share of that at the start; None without revenue."""
        return _share(self.movements["churn"] + self.movements["contraction"], self.opening)

    @property
    def average_revenue(self) -> int | None:
        """Return the recurring revenue per customer (ARPU); None without customers."""
        return round(Fraction(self.mrr, self.customers)) if self.customers else None


@dataclass(frozen=True)
class PlanFigures:
    """The subscriptions to one plan and interval at the end of a day. `mrr` is in minor units."""

    plan: str
    interval: str
    paid: int = 0
    trials: int = 0
    paused: int = 0
    past_due: int = 0
    mrr: int = 0


def _share(part: int, whole: int) -> Fraction | None:
    return Fraction(part, whole) if whole else None


def last_day() -> date | None:
    """Return the last day that was calculated, or None."""
    day: date | None = OrganizationDay.objects.aggregate(day=Max("day"))["day"]
    return day


def currencies() -> list[str]:
    """Return the currencies with revenue so far, the largest first."""
    newest = RevenueDay.objects.order_by("-day").values("day")[:1]
    return list(RevenueDay.objects.filter(day=newest).order_by("-closing", "currency").values_list("currency", flat=True))


def revenue_days(currency: str, period: Period) -> dict[date, RevenueDay]:
    """Return the stored days of this period and of the previous one."""
    rows = RevenueDay.objects.filter(currency=currency, day__range=(period.before.first, period.last))
    return {row.day: row for row in rows}


def revenue_figures(days: dict[date, RevenueDay], period: Period) -> RevenueFigures:
    """Return the figures of a period, from the result of `revenue_days`."""
    rows = [days[day] for day in period.days() if day in days]
    if not rows:
        return RevenueFigures()
    start, end = rows[0], rows[-1]
    opening, mrr = monthly(start.opening), monthly(end.closing)
    signs = [-1 if kind in NEGATIVE else 1 for kind in MOVEMENTS]
    annuals = [sign * sum(getattr(row, kind) for row in rows) for sign, kind in zip(signs, MOVEMENTS, strict=True)]
    parts = monthly_parts(annuals, mrr - opening)

    def total(name: str) -> int:
        return sum(getattr(row, name) for row in rows)

    return RevenueFigures(
        opening=opening,
        movements={kind: sign * part for sign, kind, part in zip(signs, MOVEMENTS, parts, strict=True)},
        mrr=mrr,
        arr=end.closing,
        at_risk=monthly(end.at_risk),
        overage=total("overage"),
        customers=end.customers,
        customers_at_start=start.customers - start.new_customers - start.reactivated_customers + start.lost_customers,
        new_customers=total("new_customers") + total("reactivated_customers"),
        lost_customers=total("lost_customers"),
        trials=end.trials,
        trials_started=total("trials_started"),
        trials_converted=total("trials_converted"),
        trials_lost=total("trials_lost"),
    )


def plan_figures(currency: str, day: date) -> list[PlanFigures]:
    """Return the plans at the end of a day, the largest first. Their recurring revenue adds up to the total."""
    states = RevenueSnapshot.State
    counts = {states.TRIAL: "trials", states.PAUSED: "paused", states.PAST_DUE: "past_due"}
    plans: dict[tuple[str, str], dict[str, int]] = {}
    for row in RevenuePlanDay.objects.filter(currency=currency, day=day):
        plan = plans.setdefault((row.plan, row.interval), {"annual": 0, "paid": 0})
        plan["annual"] += row.annual_amount
        if row.state in (states.ACTIVE, states.PAST_DUE):
            plan["paid"] += row.subscriptions
        if name := counts.get(states(row.state)):
            plan[name] = row.subscriptions
    ordered = sorted(plans.items(), key=lambda entry: (-entry[1]["annual"], entry[0]))
    amounts = monthly_parts([plan["annual"] for _, plan in ordered])
    return [
        PlanFigures(
            plan,
            interval,
            paid=numbers["paid"],
            trials=numbers.get("trials", 0),
            paused=numbers.get("paused", 0),
            past_due=numbers.get("past_due", 0),
            mrr=mrr,
        )
        for ((plan, interval), numbers), mrr in zip(ordered, amounts, strict=True)
    ]


def organization_days(period: Period) -> dict[date, OrganizationDay]:
    """Return the stored days of this period and of the previous one."""
    return OrganizationDay.objects.in_bulk([*period.before.days(), *period.days()])


def usage_days(period: Period) -> dict[str, dict[date, int]]:
    """Return the usage of each feature by day, in this period and in the previous one."""
    usage: dict[str, dict[date, int]] = {}
    rows = UsageDay.objects.filter(tool="", day__range=(period.before.first, period.last))
    for feature, day, amount in rows.values_list("feature", "day", "amount"):
        usage.setdefault(feature, {})[day] = amount
    return usage


def tool_totals(period: Period, *, limit: int = 8) -> list[dict[str, Any]]:
    """Return the most called MCP tools of the period. A tool's calls count only on days on which it was among the most called."""
    rows = UsageDay.objects.filter(day__range=(period.first, period.last)).exclude(tool="").values("tool", "feature")
    totals: Iterable[Any] = rows.annotate(calls=Sum("events"), units=Sum("amount")).order_by("-calls", "tool", "feature")[:limit]
    return list(totals)


def movements(currency: str, period: Period) -> Iterable[RevenueMovement]:
    """Return the movements of single organizations in order of time, without loading all of them at once."""
    rows = RevenueMovement.objects.filter(currency=currency, day__range=(period.first, period.last))
    return rows.select_related("organization").order_by("day", "id").iterator(chunk_size=1000)
