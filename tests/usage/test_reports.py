"""Current usage and usage history."""

import csv
import io
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from entitlements.types import GrantSpec
from tests.factories.accounts import key_of
from tests.factories.usage import UsageCounterFactory, UsageGaugeFactory, subscribe
from tests.support.api import problem
from usage import selectors
from usage.models import NO_KEY, NO_MEMBER, UsageEvent, UsageSummary
from usage.store.rebuild import rebuild_summaries
from usage.tracker import UsageTracker

CURRENT = "/api/usage/current"
HISTORY = "/api/usage/history"
DAY = datetime(2026, 3, 10, tzinfo=UTC)


def summary(organization, start, amount, *, grain="d", feature="sessions", key_id=NO_KEY, member_id=NO_MEMBER):
    UsageSummary.objects.create(
        organization=organization, grain=grain, bucket=start, feature=feature, key_id=key_id, member_id=member_id, amount=amount, events=1
    )


def test_current_usage_contains_every_metered_feature(api, owner, acme, member):
    UsageCounterFactory(organization=acme, used=12, held=3)
    UsageGaugeFactory(organization=acme, value=2)
    data = api.get(CURRENT, by=owner).json()
    assert (data["organizationId"], data["plan"]) == (str(acme.pk), "free")
    by_feature = {one["feature"]: one for one in data["usage"]}
    assert set(by_feature) == {
        "projects",
        "team_members",
        "best_practices",
        "context_cache_mb",
        "sessions",
        "context_queries",
        "session_creation",
        "git_webhooks",
    }
    sessions = by_feature["sessions"]
    assert (sessions["used"], sessions["held"], sessions["included"], sessions["remaining"], sessions["overage"]) == (12, 3, 50, 35, 0)
    assert sessions["resetsAt"] == data["periodEnd"]
    projects = by_feature["projects"]
    assert (projects["used"], projects["included"], projects["remaining"], projects["overage"], projects["resetsAt"]) == (2, 1, 0, 1, None)
    assert (by_feature["team_members"]["used"], by_feature["team_members"]["overage"]) == (2, 1)
    assert (by_feature["context_queries"]["included"], by_feature["context_queries"]["windowSeconds"]) == (30, 60)


def test_a_new_period_starts_at_zero(acme):
    UsageCounterFactory(organization=acme, used=12)
    acme.clock_offset = timedelta(days=32)
    (sessions,) = [one for one in UsageTracker(acme).current().usage if one.feature == "sessions"]
    assert (sessions.used, sessions.remaining) == (0, 50)


def test_a_yearly_plan_counts_by_month(acme):
    anchor = now() - timedelta(days=70)
    EntitlementsManager(acme).replace_grants(
        "subscription", [GrantSpec("pro", starts_at=anchor, ends_at=anchor + timedelta(days=365), anchor=anchor)]
    )
    current = UsageTracker(acme).current()
    assert current.period_start <= now() < current.period_end
    assert current.period_end - current.period_start <= timedelta(days=31)
    assert current.period_start.day == min(anchor.day, 28) or current.period_start.day == anchor.day


def test_the_totals_for_invoices(acme):
    subscribe(acme)
    entitlement = EntitlementsManager(acme).require("sessions")
    period = entitlement.period(now())
    UsageCounterFactory(organization=acme, used=1234)
    assert selectors.overage_units(acme, entitlement, period) == 234
    UsageGaugeFactory(organization=acme, value=7)
    assert selectors.gauge_value(acme, "projects") == 7
    assert selectors.gauge_value(acme, "best_practices") == 0
    assert selectors.gauge_value(acme, "team_members") == 1
    subscribe(acme, "enterprise")
    assert selectors.overage_units(acme, EntitlementsManager(acme).require("sessions"), period) == 0


def test_history_is_grouped_as_requested(api, owner, acme):
    key_id = UsageTracker.of(owner.caller).subject.organization_id
    summary(acme, DAY, 3, key_id=key_id, member_id=owner.user.pk)
    summary(acme, DAY, 4)
    summary(acme, DAY + timedelta(days=1), 5)
    summary(acme, DAY + timedelta(days=1), 9, feature="context_queries")
    summary(acme, DAY + timedelta(days=30), 7)
    span = "?since=2026-03-01T00:00:00Z&until=2026-05-01T00:00:00Z"

    def rows(query):
        response = api.get(HISTORY + span + query, by=owner)
        assert response.status_code == 200, response.content
        return [(one["start"][:10], one["feature"], one["amount"], one["keyId"], one["memberId"]) for one in response.json()["data"]]

    assert rows("") == [
        ("2026-03-10", "sessions", 7, None, None),
        ("2026-03-11", "context_queries", 9, None, None),
        ("2026-03-11", "sessions", 5, None, None),
        ("2026-04-09", "sessions", 7, None, None),
    ]
    assert rows("&interval=month&feature=sessions") == [
        ("2026-03-01", "sessions", 12, None, None),
        ("2026-04-01", "sessions", 7, None, None),
    ]
    assert rows("&groupBy=key&feature=sessions")[:2] == [
        ("2026-03-10", "sessions", 4, None, None),
        ("2026-03-10", "sessions", 3, str(key_id), None),
    ]
    assert rows("&groupBy=member&feature=sessions")[1] == ("2026-03-10", "sessions", 3, None, owner.user.pk)


def test_history_by_the_hour(api, owner, acme):
    api.post("/api/usage/events", {"feature": "sessions", "amount": 4}, by=owner)
    (row,) = api.get(f"{HISTORY}?interval=hour&groupBy=key", by=owner).json()["data"]
    assert row["amount"] == 4
    assert row["start"].endswith(":00:00Z")
    assert row["keyId"]


@pytest.mark.parametrize("group", ["meter", "key", "member"])
def test_pages_follow_each_other_without_gap_or_overlap(api, owner, acme, group):
    for number in range(7):
        summary(acme, DAY + timedelta(days=number // 2), number + 1, member_id=number, key_id=acme.pk if number % 2 else NO_KEY)
    query = f"?since=2026-03-01T00:00:00Z&until=2026-04-01T00:00:00Z&groupBy={group}&limit=2"
    amounts, cursor, pages = [], "", 0
    while cursor is not None:
        data = api.get(f"{HISTORY}{query}{f'&cursor={cursor}' if cursor else ''}", by=owner).json()
        amounts += [row["amount"] for row in data["data"]]
        cursor, pages = data["nextCursor"], pages + 1
    assert sum(amounts) == 28
    assert len(amounts) == (4 if group == "meter" else 7)
    assert pages == (2 if group == "meter" else 4)


def test_csv_is_streamed(api, owner, acme):
    summary(acme, DAY, 3, member_id=owner.user.pk)
    query = f"{HISTORY}?since=2026-03-01T00:00:00Z&until=2026-04-01T00:00:00Z&groupBy=member"
    for response in (api.get(query, by=owner, accept="text/csv"), api.get(f"{query}&format=csv", by=owner)):
        assert response.streaming
        assert response["Content-Type"] == "text/csv; charset=utf-8"
        rows = list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode())))
        expected = {
            "start": "2026-03-10T00:00:00Z",
            "feature": "sessions",
            "amount": "3",
            "events": "1",
            "keyId": "",
            "memberId": str(owner.user.pk),
            "tool": "",
        }
        assert rows == [expected]


@pytest.mark.parametrize(
    "query",
    [
        "interval=year",
        "groupBy=planet",
        "since=yesterday",
        "until=2026-13-01",
        "limit=0",
        "limit=x",
        "limit=1001",
        "since=2026-03-02T00:00:00Z&until=2026-03-01T00:00:00Z",
        "feature=%00",
        "feature=",
        "until=0001-01-01T00:00:00Z",
    ],
)
def test_an_invalid_query_is_refused(api, owner, query):
    assert problem(api.get(f"{HISTORY}?{query}", by=owner)) == (422, "validation_error")


@pytest.mark.parametrize("cursor", ["%00", "abc", "kw"])
def test_an_invalid_cursor_is_refused(api, owner, cursor):
    assert problem(api.get(f"{HISTORY}?cursor={cursor}", by=owner)) == (404, "not_found")


@pytest.mark.parametrize("path", [CURRENT, HISTORY])
def test_only_permitted_callers_can_read_reports(api, path, owner, admin, member, viewer, stranger, acme):
    summary(acme, now().replace(hour=0, minute=0, second=0, microsecond=0), 3)
    for person in (owner, admin, member, viewer):
        assert api.get(path, by=person).status_code == 200
    assert problem(api.get(path))[0] == 401
    assert problem(api.get(path, by=key_of(owner.membership, ["usage:write"])))[1] == "insufficient_scope"
    assert str(acme.pk) not in api.get(path, by=stranger).content.decode()
    assert api.get(HISTORY, by=stranger).json()["data"] == []


def test_unknown_parameters_are_refused(api, owner):
    assert problem(api.get(f"{CURRENT}?plan=pro", by=owner)) == (400, "unknown_parameter")


def count_event(organization, moment, amount):
    UsageEvent.objects.create(organization=organization, feature="sessions", amount=amount, occurred_at=moment, recorded_at=now())
    rebuild_summaries(str(organization.pk))


def totals(api, person, query):
    return sum(row["amount"] for row in api.get(f"{HISTORY}?{query}", by=person).json()["data"])


@pytest.mark.parametrize("interval", ["hour", "day", "month"])
def test_adjacent_spans_count_every_event_once(api, owner, acme, interval):
    base = now().replace(minute=0, second=0, microsecond=0) - timedelta(days=3)
    moments = [base + timedelta(minutes=minutes) for minutes in (0, 29, 30, 31, 59, 60, 95, 60 * 24, 60 * 24 + 30)]
    for number, moment in enumerate(moments):
        count_event(acme, moment, 2**number)
    cuts = [base - timedelta(hours=1), base + timedelta(minutes=30), base + timedelta(minutes=61), base + timedelta(days=2)]
    spans = [
        totals(api, owner, f"interval={interval}&since={since:%Y-%m-%dT%H:%M:%SZ}&until={until:%Y-%m-%dT%H:%M:%SZ}")
        for since, until in pairwise(cuts)
    ]
    assert spans == [1 + 2, 4 + 8 + 16 + 32, 64 + 128 + 256]


def test_the_current_period_has_the_same_total_in_history(api, owner, acme):
    period = EntitlementsManager(acme).require("sessions").period(now())
    count_event(acme, now(), 5)
    count_event(acme, period.start - timedelta(seconds=1), 7)
    data = api.get(CURRENT, by=owner).json()
    assert totals(api, owner, f"since={data['periodStart']}&until={data['periodEnd']}") == 5
    assert totals(api, owner, f"since=2020-01-01T00:00:00Z&until={data['periodStart']}&interval=month") == 7
    assert totals(api, owner, "") == 12


def test_a_date_means_midnight(api, owner, acme):
    summary(acme, DAY, 3)
    assert totals(api, owner, "since=2026-03-10&until=2026-03-11") == 3
    assert totals(api, owner, "since=2026-03-11&until=2026-03-12") == 0
