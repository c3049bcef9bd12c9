"""Format the figures for the home page: values with those of the previous period, movements, plans and usage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any

from billing.models import OrganizationDay
from billing.revenue import selectors
from billing.revenue.monthly import monthly
from billing.revenue.selectors import MOVEMENTS, NEGATIVE, RevenueFigures
from contextmcp.common.money import format_amount
from entitlements.catalog import CATALOG

from .charts import Chart, draw
from .definitions import DEFINITIONS
from .filters import Selection


@dataclass(frozen=True)
class Figure:
    """A value, its value in the previous period, and its definition."""

    name: str
    value: str
    before: str

    @property
    def title(self) -> str:
        return DEFINITIONS[self.name][0]

    @property
    def definition(self) -> str:
        return DEFINITIONS[self.name][1]


@dataclass(frozen=True)
class PlanRow:
    """A plan and interval, with its recurring revenue formatted."""

    title: str
    interval: str
    figures: selectors.PlanFigures
    mrr: str


@dataclass(frozen=True)
class UsageRow:
    """The usage of a feature in the period and in the previous one."""

    title: str
    amount: int
    before: int

    @property
    def change(self) -> str:
        return percent(Fraction(self.amount - self.before, self.before), signed=True) if self.before else ""


def percent(share: Fraction | None, *, signed: bool = False) -> str:
    """Return a share such as "12.5%", or "-" if there is none."""
    if share is None:
        return "-"
    return f"{float(share * 100):{'+' if signed else ''},.1f}%"


def revenue(selection: Selection) -> dict[str, Any]:
    """Return the revenue part of the page's context, for one currency."""
    period, currency = selection.period, selection.currency
    days = selectors.revenue_days(currency, period)
    now, before = selectors.revenue_figures(days, period), selectors.revenue_figures(days, period.before)

    def money(minor: int | None) -> str:
        return "-" if minor is None else format_amount(minor, currency)

    values: dict[str, Callable[[RevenueFigures], str]] = {
        "mrr": lambda each: money(each.mrr),
        "arr": lambda each: money(each.arr),
        "net": lambda each: money(each.net),
        "customers": lambda each: f"{each.customers:,}",
        "arpu": lambda each: money(each.average_revenue),
        "trials": lambda each: f"{each.trials:,}",
        "conversion": lambda each: percent(each.trial_conversion),
        "customer_churn": lambda each: percent(each.customer_churn),
        "revenue_churn": lambda each: percent(each.revenue_churn),
        "at_risk": lambda each: money(each.at_risk),
        "overage": lambda each: money(each.overage),
    }

    def movement(kind: str) -> Figure:
        sign = -1 if kind in NEGATIVE else 1
        return Figure(kind, money(sign * now.movements[kind]), money(sign * before.movements[kind]))

    return {
        "revenue_figures": [Figure(name, word(now), word(before)) for name, word in values.items()],
        "movements": [movement(kind) for kind in MOVEMENTS],
        "opening": (money(now.opening), money(before.opening)),
        "closing": (money(now.mrr), money(before.mrr)),
        "plans": _plans(currency, max(days, default=None), period.last),
        "revenue_charts": [
            draw("MRR", period, {day: monthly(row.closing) for day, row in days.items()}, money),
            draw("Overage revenue", period, {day: row.overage for day, row in days.items()}, money, is_sum=True),
        ],
    }


def _plans(currency: str, newest: date | None, last: date) -> list[PlanRow]:
    if newest is None:
        return []
    titles = {plan.name: plan.title for plan in CATALOG.plans}
    intervals = {"month": "monthly", "year": "yearly"}
    return [
        PlanRow(
            titles.get(row.plan, row.plan or "Unknown plan"),
            intervals.get(row.interval, row.interval),
            row,
            format_amount(row.mrr, currency),
        )
        for row in selectors.plan_figures(currency, min(newest, last))
    ]


def organizations(selection: Selection) -> dict[str, Any]:
    """Return the numbers of organizations and active ones."""
    period = selection.period
    days = selectors.organization_days(period)

    def at_end(until: date) -> OrganizationDay | None:
        newest = max((day for day in days if day <= until), default=None)
        return days[newest] if newest else None

    now, before = at_end(period.last), at_end(period.before.last)
    names = {"organizations": "organizations", "active": "active_in_30_days"}
    return {
        "organization_figures": [Figure(name, _count(now, column), _count(before, column)) for name, column in names.items()],
        "organization_chart": draw("Active organizations", period, {day: row.active_in_30_days for day, row in days.items()}, _number),
    }


def usage(selection: Selection) -> dict[str, Any]:
    """Return the usage by feature, its charts, and the most called MCP tools."""
    period = selection.period
    by_feature = selectors.usage_days(period)
    rows, charts = [], list[Chart]()
    for name, days in by_feature.items():
        feature = CATALOG.feature(name)
        title = feature.title if feature else name
        amounts = [sum(days.get(day, 0) for day in each.days()) for each in (period, period.before)]
        rows.append(UsageRow(title, *amounts))
        charts.append(draw(title, period, days, _number, is_sum=True))
    order = sorted(range(len(rows)), key=lambda place: (-rows[place].amount, rows[place].title))
    return {
        "usage_rows": [rows[place] for place in order],
        "usage_charts": [charts[place] for place in order[:4]],
        "tools": selectors.tool_totals(period),
    }


def _count(row: OrganizationDay | None, column: str) -> str:
    return "-" if row is None else _number(getattr(row, column))


def _number(value: int) -> str:
    return f"{value:,}"
