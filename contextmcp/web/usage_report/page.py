"""Everything that the usage page shows of a selection."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from contextmcp.web.charts import BarChart, LineChart
from contextmcp.web.organization_state import OrganizationState
from entitlements.catalog import CATALOG
from entitlements.periods import Period
from entitlements.types import Kind
from usage import selectors
from usage.selectors import FeatureUsage

from . import periods
from .amounts import read_rest_of_before
from .chart import report_bars, report_lines
from .outlook import Outlook, build_outlook
from .report import Report, build_report
from .selection import GROUP_TITLES, PERIOD_TITLES, CustomPeriodForm, Selection, parse_selection

_METERED = (Kind.QUOTA, Kind.RATE_LIMIT)


@dataclass(frozen=True)
class Choice:
    """A link that changes one part of the selection."""

    title: str
    query: str
    selected: bool


@dataclass(frozen=True)
class UsagePage:
    """`lines` is the chart of a usage month without groups, `bars` any other one. `outlook` is set for the current month of a quota."""

    report: Report
    form: CustomPeriodForm
    bars: BarChart | None
    lines: LineChart | None
    outlook: Outlook | None

    @property
    def csv_query(self) -> str:
        return self.report.selection.query(feature=self.report.feature)

    @property
    def feature_choices(self) -> list[Choice]:
        titles = {feature: CATALOG.feature_title(feature) for feature in self.report.features}
        return self._choices("feature", titles.items(), self.report.feature)

    @property
    def group_choices(self) -> list[Choice]:
        return self._choices("group", GROUP_TITLES.items(), self.report.selection.group)

    @property
    def period_choices(self) -> list[Choice]:
        return self._choices("period", PERIOD_TITLES.items(), self.report.selection.period)

    def _choices(self, name: str, titles: Iterable[tuple[str, object]], present: str) -> list[Choice]:
        query = self.report.selection.query
        return [Choice(str(title), query(**{name: value}), value == present) for value, title in titles]


def read_report(state: OrganizationState, parameters: Mapping[str, str], at: datetime) -> tuple[Report, CustomPeriodForm]:
    """Return the report that the query string selects, and the form of a custom period."""
    quotas = _quotas(state.usage)
    selection, form = parse_selection(parameters, at, "current" if quotas else "month")
    declared = CATALOG.feature(selection.feature)
    asked = [selection.feature] if declared and declared.kind in _METERED and selection.feature not in quotas else []
    return build_report(state.caller, selection, _period(state, selection, at), [*quotas, *asked]), form


def read_page(state: OrganizationState, parameters: Mapping[str, str], at: datetime) -> UsagePage:
    """Return the report with its chart and, for the current usage month of a quota, its outlook."""
    report, form = read_report(state, parameters, at)
    outlook = None
    usage = next((each for each in state.usage if each.feature == report.feature and each.kind is Kind.QUOTA), None)
    is_current = report.period.quota and report.period.ends > at
    if usage is not None and is_current and not report.is_grouped:
        outlook = build_outlook(report, usage, state.overage, at)
    if report.is_empty:
        return UsagePage(report, form, None, None, outlook)
    if not report.is_running_total:
        return UsagePage(report, form, report_bars(report), None, outlook)
    rest = read_rest_of_before(state.organization, report.period, report.period.since, report.feature) if is_current else []
    return UsagePage(report, form, None, report_lines(report, outlook, rest, at), outlook)


def _quotas(usage: list[FeatureUsage]) -> list[str]:
    """Return the quotas that the plan includes or that were used. The catalog's main meter comes first."""
    names = [each.feature for each in usage if each.kind is Kind.QUOTA and (each.included != 0 or each.used)]
    main = CATALOG.main_meter.name if CATALOG.main_meter else ""
    return sorted(names, key=lambda name: name != main)


def _period(state: OrganizationState, selection: Selection, at: datetime) -> periods.ReportPeriod:
    if selection.period == "custom":
        assert selection.since and selection.until
        return periods.custom(selection.since, selection.until, at)
    if selection.period in periods.ROLLING:
        return periods.rolling(selection.period, at)
    current = selectors.period_at(state.entitlements, at)
    before = _month_before(state, current)
    if selection.period == "last":
        return periods.usage_month(before, _month_before(state, before), at)
    return periods.usage_month(current, before, at)


def _month_before(state: OrganizationState, period: Period) -> Period:
    return selectors.period_at(state.entitlements, period.start - timedelta(microseconds=1))
