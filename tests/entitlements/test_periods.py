"""Usage months, counted from an anchor."""

from datetime import UTC, datetime, timedelta, timezone

from entitlements.periods import Period, add_months, month_period
from tests.support.properties import given, st

MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_anchor_on_the_31st_is_the_last_day_of_shorter_months_only():
    anchor = day("2026-01-31T10:00")
    matches = [add_months(anchor, months).strftime("%m-%d") for months in range(1, 6)]
    assert matches == ["02-28", "03-31", "04-30", "05-31", "06-30"]


def test_a_leap_day_is_the_28th_until_the_next_leap_year():
    anchor = day("2024-02-29T00:00")
    assert add_months(anchor, 12) == day("2025-02-28T00:00")
    assert add_months(anchor, 48) == day("2028-02-29T00:00")


def test_a_period_ends_where_the_next_begins():
    anchor = day("2026-01-31T10:00")
    before = month_period(anchor, day("2026-02-28T09:59:59"))
    after = month_period(anchor, day("2026-02-28T10:00:00"))
    assert before == Period(anchor, day("2026-02-28T10:00"))
    assert after == Period(day("2026-02-28T10:00"), day("2026-03-31T10:00"))
    assert before.end not in before
    assert before.end in after


def test_months_before_the_anchor_are_supported():
    assert month_period(day("2026-05-15T00:00"), day("2026-05-14T23:00")).start == day("2026-04-15T00:00")


def test_daylight_saving_time_has_no_effect():
    """Periods are counted in UTC, whatever the time zone of the arguments."""
    summer = timezone(timedelta(hours=2))
    anchor = day("2026-03-28T23:30")
    assert month_period(anchor.astimezone(summer), day("2026-05-01T00:00").astimezone(summer)) == month_period(
        anchor, day("2026-05-01T00:00")
    )


@given(MOMENTS, MOMENTS)
def test_every_time_is_in_its_period(anchor, at):
    period = month_period(anchor, at)
    assert at in period
    assert timedelta(days=28) <= period.end - period.start <= timedelta(days=31)


@given(MOMENTS, MOMENTS)
def test_periods_leave_no_gap_and_do_not_overlap(anchor, at):
    period = month_period(anchor, at)
    assert month_period(anchor, period.start) == period
    assert month_period(anchor, period.end).start == period.end
    assert month_period(anchor, period.start - timedelta(microseconds=1)).end == period.start


@given(MOMENTS, st.integers(-600, 600))
def test_the_day_is_the_anchors_if_the_month_has_it(anchor, months):
    moved = add_months(anchor, months)
    assert moved.day <= anchor.day
    assert moved.day == anchor.day or (moved + timedelta(days=1)).day == 1
    assert moved.timetz() == anchor.timetz()
