"""The limit, the forecast and the overage of the current usage month."""

from datetime import UTC, datetime, timedelta

import pytest

from billing.types import OverageState
from contextmcp.web.organization_state import Overage
from contextmcp.web.usage_report.outlook import build_outlook
from contextmcp.web.usage_report.page import UsagePage
from contextmcp.web.usage_report.periods import ReportPeriod, usage_month
from contextmcp.web.usage_report.report import Change, Report, Row
from contextmcp.web.usage_report.selection import CustomPeriodForm, Selection
from entitlements.periods import Period
from entitlements.types import Kind
from usage.selectors import FeatureUsage

START = datetime(2026, 6, 1, 9, 30, tzinfo=UTC)
MONTH = Period(START, datetime(2026, 7, 1, 9, 30, tzinfo=UTC))
BEFORE = Period(datetime(2026, 5, 1, 9, 30, tzinfo=UTC), START)
DAY = timedelta(days=1)


def report(amounts, at):
    """Return the report of one amount for each day."""
    period: ReportPeriod = usage_month(MONTH, BEFORE, at)
    buckets, rows, running = period.buckets, [], 0
    for bucket, amount in zip(buckets, [*amounts, *[0] * len(buckets)], strict=False):
        running += amount
        rows.append(Row(str(bucket.label), bucket.start, (amount,), amount, running, 0))
    selection = Selection("sessions", "total", "current")
    return Report(selection, period, "sessions", ("sessions",), (), tuple(rows), Change(running, 0), sees_all=True)


def outlook(amounts, at, included, overage=None):
    shown = report(amounts, at)
    used = shown.change.total
    usage = FeatureUsage("sessions", Kind.QUOTA, used, 0, included, None, 0, MONTH.end)
    return build_outlook(shown, usage, overage, at)


def overage(cap, *, units=0, enabled=True):
    return Overage(OverageState("sessions", enabled, cap, 2, "usd"), units, "")


def test_the_forecast_continues_the_pace_of_the_last_week():
    at = START + 14 * DAY
    # 10 a day in the first week, then 50 a day.
    found = outlook([10] * 7 + [50] * 7, at, 5000)
    recent = 7 * DAY + (at - at.replace(hour=0, minute=0))
    expected = found.used + round(sum([50] * 7) * (MONTH.end - at) / recent)
    assert found.forecast.amount == pytest.approx(expected, abs=60)
    assert (found.forecast.days, found.forecast.reaches_limit_at, found.forecast_over, found.tone) == (7, None, 0, "ok")


def test_it_says_when_the_limit_will_be_reached():
    at = START + 10 * DAY
    found = outlook([40] * 10, at, 500)
    assert found.remaining == 100
    assert at < found.forecast.reaches_limit_at < at + 4 * DAY
    assert found.forecast_over == found.forecast.amount - 500 > 0
    assert (found.tone, found.is_refusing, found.forecast_cost) == ("near", False, None)


@pytest.mark.parametrize(("at", "amounts"), [(START + DAY / 2, [40]), (START + 9 * DAY, [])])
def test_there_is_no_forecast_from_a_few_hours_or_from_nothing(at, amounts):
    assert outlook(amounts, at, 500).forecast is None


def test_a_used_up_quota_has_no_forecast_because_requests_are_refused():
    found = outlook([100] * 5, START + 5 * DAY, 500)
    assert (found.is_refusing, found.tone, found.forecast, found.remaining, found.over) == (True, "full", None, 0, 0)
    assert outlook([100] * 5, START + 5 * DAY, 500, overage(1000, enabled=False)).is_refusing


def test_overage_is_forecast_up_to_the_spending_cap():
    at = START + 10 * DAY
    found = outlook([100] * 10, at, 800, overage(100_000, units=200))
    assert (found.over, found.is_refusing, found.tone) == (200, False, "near")
    assert found.cap_units == 800 + 50_000
    assert found.forecast_cost == 2 * found.forecast_over
    capped = outlook([100] * 10, at, 800, overage(1000, units=200))
    assert capped.forecast_cost == 1000
    reached = outlook([100] * 10, at, 800, overage(400, units=200))
    assert (reached.is_refusing, reached.tone, reached.forecast) == (True, "full", None)


def test_unlimited_usage_has_a_forecast_and_no_limit():
    found = outlook([100] * 10, START + 10 * DAY, None)
    assert found.forecast.amount > 2000
    assert (found.tone, found.over, found.cap_units, found.is_refusing) == ("ok", 0, None, False)


def test_the_period_before_is_compared_up_to_the_same_point():
    at = START + 10 * DAY + timedelta(minutes=20)
    period = usage_month(MONTH, BEFORE, at)
    assert period.before_until - period.before_since == timedelta(days=10, minutes=30)
    assert period.is_running
    ended = usage_month(BEFORE, Period(datetime(2026, 4, 1, 9, 30, tzinfo=UTC), BEFORE.start), at)
    # April is shorter than May, so its whole month is compared.
    assert (ended.read_until, ended.before_until) == (BEFORE.end, BEFORE.start)


def test_choices_of_a_page_keep_the_rest_of_the_selection():
    shown = report([1], START + DAY)
    page = UsagePage(shown, CustomPeriodForm(START.date()), None, None, None)
    assert [(choice.title, choice.selected) for choice in page.group_choices][:2] == [("Total", True), ("API key", False)]
    assert page.group_choices[1].query == "feature=sessions&by=key&period=current"
