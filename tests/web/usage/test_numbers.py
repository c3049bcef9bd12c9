"""Every grouping and period shows the sums of the raw events, and the CSV has the numbers of the table."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import pytest

from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from tests.web.usage.rows import record
from usage import selectors

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
EDGES = {"hour": {"minute": 0, "second": 0, "microsecond": 0}, "day": {"hour": 0, "minute": 0, "second": 0, "microsecond": 0}}


def ceil(moment, interval):
    start = moment.replace(**EDGES[interval])
    return start if start == moment else start + (DAY if interval == "day" else DAY / 24)


def bounds(organization, period, at):
    """Return (interval, since, until, start and end of the period before), calculated independently of the product."""
    hour = ceil(at, "hour")
    if period in {"current", "last"}:
        month = selectors.period_at(EntitlementsManager(organization).entitlements(), at)
        before = selectors.period_at(EntitlementsManager(organization).entitlements(), month.start - DAY / 24)
        if period == "last":
            earlier = selectors.period_at(EntitlementsManager(organization).entitlements(), before.start - DAY / 24)
            return "day", before.start, before.end, earlier.start, min(earlier.end, earlier.start + (before.end - before.start))
        return "day", month.start, at + DAY, before.start, before.start + (hour - month.start)
    interval, length = {"day": ("hour", DAY), "week": ("day", 7 * DAY), "month": ("day", 30 * DAY), "custom": ("day", 10 * DAY)}[period]
    end = ceil(at, interval)
    since = end - length
    return interval, since, end, since - length, hour - length


def total(events, since, until):
    return sum(event.amount for event in events if since <= event.occurred_at < until)


def custom(at):
    return {"period": "custom", "since": f"{(ceil(at, 'day') - 10 * DAY):%Y-%m-%d}", "until": f"{at:%Y-%m-%d}"}


def test_each_period_and_group_adds_up_the_events(busy, owner, sign_in):
    client, events = sign_in(owner), busy.events()
    attributes = {"total": None, "key": "key_id", "member": "member_id", "tool": "tool"}
    for period in ("day", "week", "month", "current", "last", "custom"):
        for group, attribute in attributes.items():
            at = now(busy.organization)
            query = custom(at) if period == "custom" else {"period": period}
            page = client.get("/account/usage/", {**query, "by": group}).context["page"]
            interval, since, until, before_since, before_until = bounds(busy.organization, period, at)
            inside = [event for event in events if since <= event.occurred_at < until]
            report = page.report
            assert report.change.total == total(events, since, until), (period, group)
            assert report.change.before == total(events, before_since, before_until), (period, group)
            for row in report.rows:
                start = row.start.replace(**EDGES[interval])
                length = DAY if interval == "day" else DAY / 24
                assert row.total == total(inside, start, start + length) == sum(row.amounts), (period, group, row)
            assert sum(row.before for row in report.rows) == report.change.before
            if attribute:
                expected = {}
                for event in inside:
                    value = getattr(event, attribute)
                    expected[value] = expected.get(value, 0) + event.amount
                # Series without usage in the period itself were used before.
                assert sorted(each.change.total for each in report.series if each.events) == sorted(expected.values()), (period, group)
                assert sum(each.events for each in report.series) == len(inside)
                assert sum(each.change.before for each in report.series) == report.change.before


def numbers(text):
    """Return the cells of the table, newest row last."""
    body = re.search(r'class="numbers".*?<tbody>(.*?)</tbody>', text, re.DOTALL)[1]
    rows = [re.findall(r"<td>([^<]*)</td>", row) for row in body.split("</tr>")[:-1]]
    return [[int(cell.replace(",", "")) for cell in row] for row in rows[::-1]]


def test_the_csv_has_the_numbers_of_the_table(busy, owner, sign_in):
    client = sign_in(owner)
    for query in ({}, {"by": "key"}, {"by": "member", "period": "week"}, {"by": "tool", "period": "day"}, {"period": "last", "by": "key"}):
        page = client.get("/account/usage/", query)
        link = re.search(r'href="(/account/usage/csv/[^"]*)"', page.text)[1].replace("&amp;", "&")
        answer = client.get(link)
        assert answer["Content-Type"] == "text/csv; charset=utf-8"
        assert answer["Content-Disposition"].startswith('attachment; filename="usage-sessions-')
        heading, *rows = csv.reader(io.StringIO(answer.text))
        assert [[int(cell) for cell in row[1:]] for row in rows] == numbers(page.text), query
        assert heading[0] == "Start (UTC)" and heading[-1] == "Period before"
        assert len(heading) == len(rows[0])
    assert rows[0][0] == f"{page.context['page'].report.rows[0].start:%Y-%m-%d}"


def test_a_name_that_a_spreadsheet_would_calculate_is_escaped(acme, owner, sign_in):
    from accounts.manager import AuthManager

    key, _ = AuthManager(acme).generate_key(owner.caller, '=HYPERLINK("http://x.example")')
    record(acme, {"occurred_at": now(acme), "key_id": key.pk})
    heading = next(csv.reader(io.StringIO(sign_in(owner).get("/account/usage/csv/?by=key&period=week").text)))
    assert heading[1].startswith("'=HYPERLINK")


def test_many_keys_are_all_in_the_table_up_to_a_limit(acme, owner, sign_in):
    from uuid import uuid4

    from contextmcp.web.usage_report.report import COLORS, MAX_SERIES
    from tests.web.activity.rows import insert_key

    keys = [insert_key(acme, owner.user, f"Key {number:02}").pk for number in range(MAX_SERIES + 10)]
    record(acme, *({"occurred_at": now(acme), "key_id": key, "amount": 100 - number} for number, key in enumerate(keys)))
    record(acme, {"occurred_at": now(acme), "key_id": uuid4(), "amount": 1})
    page = sign_in(owner).get("/account/usage/?by=key&period=week").context["page"]
    series = page.report.series
    assert len(series) == MAX_SERIES
    assert series[0].label.name == "Key 00" and series[-1].label.name == "All others"
    assert sum(each.change.total for each in series) == page.report.change.total == sum(100 - number for number in range(len(keys))) + 1
    assert {each.color for each in series} == set(range(COLORS + 1))
    drawn = page.bars.columns[-1].bars
    assert len(drawn) == COLORS + 1


def test_other_features_have_charts_of_their_own(busy, owner, usage_page):
    page = usage_page(owner).context["page"]
    assert [choice.title for choice in page.feature_choices] == ["Sessions", "Context queries"]
    other = usage_page(owner, feature="context_queries", period="week").context["page"]
    assert (other.report.change.total, other.outlook) == (50, None)
    # An unknown feature is replaced by the first one.
    assert usage_page(owner, feature="nonsense").context["page"].report.feature == "sessions"


def test_long_custom_periods_are_shown_by_month(busy, owner, usage_page):
    at = now(busy.organization)
    report = usage_page(owner, period="custom", since=f"{at - 200 * DAY:%Y-%m-%d}", until=f"{at:%Y-%m-%d}").context["page"].report
    assert report.period.interval == "month"
    assert report.change.total == sum(event.amount for event in busy.events())
    assert {row.start.day for row in report.rows} == {1}
    by_month = {}
    for event in busy.events():
        month = datetime(event.occurred_at.year, event.occurred_at.month, 1, tzinfo=UTC)
        by_month[month] = by_month.get(month, 0) + event.amount
    assert {row.start: row.total for row in report.rows if row.total} == by_month
