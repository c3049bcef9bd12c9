"""The order of the sources, and pages without lost or repeated entries."""

from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEvent
from contextmcp.common.errors import ValidationFailed
from contextmcp.web.activity import KINDS, Kind, timeline
from contextmcp.web.activity.sources.refusals import MAX_ROWS
from tests.web.activity.rows import START, fill
from usage.models import RefusalSummary

pytestmark = pytest.mark.django_db
# The rows of all tables, the refusals, and the names of people, keys and apps.
MAX_QUERIES = 8


def pages(organization, **filters):
    cursor = ""
    while True:
        page = timeline(organization, before=cursor, **filters)
        yield page
        cursor = page.next_cursor
        if not cursor:
            return


def walked(organization, **filters):
    return [entry for page in pages(organization, **filters) for entry in page.entries]


def identity(entry):
    return entry.at, entry.kind, entry.sentence, entry.link


@pytest.mark.parametrize("limit", [1, 3, 7, 50])
@pytest.mark.parametrize("audience", ["staff", "customer"])
def test_no_entry_is_lost_or_repeated_at_equal_times(acme, owner, limit, audience):
    fill(acme, owner.user, 12, same=4)
    entries = walked(acme, audience=audience, limit=limit)
    assert [entry.at for entry in entries] == sorted((entry.at for entry in entries), reverse=True)
    whole = timeline(acme, audience=audience, limit=200)
    assert whole.next_cursor == ""
    assert [identity(entry) for entry in entries] == [identity(entry) for entry in whole.entries]
    # All entries: 12 per source, a failed payment for half of the invoices, 3 per subscription, 4 refusal reasons per hour,
    # and the creation of the organization.
    expected = {"staff": 12 * 6 + 6 + 36 + 4 + 1, "customer": 12 * 4 + 8 + 6 + 36 + 4 + 1}[audience]
    assert len(entries) == expected


def test_rows_that_arrive_between_two_pages_change_neither(acme, owner):
    fill(acme, owner.user, 12, same=4)
    first = timeline(acme, audience="staff", limit=20)
    expected = [identity(entry) for entry in timeline(acme, audience="staff", limit=200).entries[20:]]
    AuditEvent.objects.create(organization=acme, action="key.created", created_at=START + timedelta(days=1))
    second = timeline(acme, audience="staff", limit=200, before=first.next_cursor)
    assert [identity(entry) for entry in second.entries] == expected


def test_the_range_of_dates_includes_its_start_and_excludes_its_end(acme, owner):
    fill(acme, owner.user, 10)
    entries = walked(acme, audience="staff", since=START + timedelta(minutes=3), until=START + timedelta(minutes=5))
    assert {entry.at for entry in entries} == {START + timedelta(minutes=3), START + timedelta(minutes=4)}


@pytest.mark.parametrize("kind", [Kind.KEY, Kind.EMAIL, Kind.PAYMENT, Kind.USAGE])
def test_the_filter_of_kinds_leaves_out_the_others(acme, owner, kind):
    fill(acme, owner.user, 5)
    everything = Counter(entry.kind for entry in walked(acme, audience="staff"))
    assert Counter(entry.kind for entry in walked(acme, audience="staff", kinds=frozenset({kind}))) == {kind: everything[kind]}


def test_a_page_of_many_rows_takes_few_queries_that_use_indexes(acme, owner, stranger):
    fill(acme, owner.user, 10_000, same=3)
    fill(stranger.organization, stranger.user, 3_000, same=3)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    deep = timeline(acme, audience="staff", limit=50, since=START, until=START + timedelta(minutes=1700)).next_cursor
    for audience in ("staff", "customer"):
        for before in ("", deep):
            with CaptureQueriesContext(connection) as requested:
                assert len(timeline(acme, audience=audience, before=before).entries) == 50
            assert len(requested) <= MAX_QUERIES, [each["sql"] for each in requested]
            for each in requested:
                _check_plan(each["sql"])


# These tables have few rows of an organization or of a page.
SMALL = ("billing_subscriptionstate", "accounts_membership", "accounts_user_groups", "entitlements_planversion", "accounts_invitation",
         "accounts_apikey", "accounts_user", "accounts_servicekey", "auth_group", "accounts_oauthgrant")  # fmt: skip


def _check_plan(statement):
    """Fail if a statement reads a large table without an index, or more than a few rows of it."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
        plan = cursor.fetchone()[0][0]["Plan"]
    waiting = [plan]
    while waiting:
        node = waiting.pop()
        waiting += node.get("Plans", [])
        if node.get("Relation Name") not in (None, *SMALL):
            assert node["Node Type"] in {"Index Scan", "Index Only Scan", "Bitmap Heap Scan", "Bitmap Index Scan"}, (node, statement)
            read = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
            assert read <= (MAX_ROWS + 200 if node["Relation Name"] == "usage_refusal_summaries" else 110), (node, statement)


def test_a_flood_of_refusals_is_counted_exactly_over_its_pages(acme):
    """The flood has more reasons in an hour than a page has entries, and more rows than one page reads."""
    minutes = [START + timedelta(minutes=number) for number in range(150)]
    RefusalSummary.objects.bulk_create(
        RefusalSummary(organization=acme, minute=minute, code="quota_exceeded", tool=f"tool{number}", count=number + 1)
        for minute in minutes
        for number in range(40)
    )
    AuditEvent.objects.create(organization=acme, action="key.created", created_at=START - timedelta(days=1))
    entries = walked(acme, audience="staff", limit=25, kinds=frozenset({Kind.REFUSAL, Kind.KEY}))
    assert entries[-1].kind == Kind.KEY
    expected = {
        f"Refused: a monthly limit used up, tool “tool{number - 1}”, {number * length:,} times."
        for number in range(1, 41)
        for length in (60, 30)
    }
    assert {entry.sentence for entry in entries[:-1]} == expected
    assert len(entries) == 40 * 3 + 1


@pytest.mark.parametrize("cursor", ["x", "!!!", "MjAyNi0wMS0wMXwxfDE", "MjAyNi0wMS0wMVQwMDowMDowMCswMDowMHwxfHg"])
def test_an_invalid_cursor_is_refused(acme, cursor):
    with pytest.raises(ValidationFailed):
        timeline(acme, audience="staff", before=cursor)


def test_another_organization_is_never_read(acme, owner, stranger):
    fill(stranger.organization, stranger.user, 5)
    assert [entry.kind for entry in walked(acme, audience="staff", kinds=KINDS)] == [Kind.ORGANIZATION]
