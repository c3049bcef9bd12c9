"""The record of refusals: what is counted, its bounds, its selectors and its retention."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connection
from prometheus_client import REGISTRY

from accounts.models import ApiKey
from accounts.services import organizations
from contextmcp.common.errors import TemporarilyUnavailable
from entitlements.errors import PlanInactive
from entitlements.manager import EntitlementsManager
from entitlements.types import GrantSpec
from tests.factories.accounts import key_of
from tests.factories.usage import OverageSettingFactory, UsageCounterFactory, UsageGaugeFactory, subscribe
from tests.support.api import problem
from tests.support.refusals import flush, recorded
from usage import tasks
from usage.models import RefusalSummary
from usage.refusals import aggregator, store
from usage.refusals.aggregator import RefusalCounts
from usage.refusals.recording import record
from usage.refusals.selectors import RefusalGroup, refusals_of
from usage.types import KEYLESS, NO_KEY, UsageSubject

pytestmark = pytest.mark.django_db
URL = "/api/usage/authorize"
ORGANIZATION = uuid4()
NOON = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


def used_up(acme):
    UsageCounterFactory(organization=acme, used=50)


def overage_used_up(acme):
    subscribe(acme)
    UsageCounterFactory(organization=acme, used=1000)
    OverageSettingFactory(organization=acme, cap_minor=1)


def lapsed(acme):
    start, end = acme.created_at, acme.created_at + timedelta(microseconds=1)
    spec = GrantSpec("pro", reference="sub_1", starts_at=start, anchor=start, ends_at=end, lapsed=True)
    EntitlementsManager(acme).replace_grants("subscription", [spec])


def nothing(acme):
    pass


REFUSED = {
    "quota_exceeded": (used_up, {"feature": "sessions"}, "sessions"),
    "limit_reached": (lambda acme: UsageGaugeFactory(organization=acme, value=1), {"feature": "projects"}, "projects"),
    "overage_cap_reached": (overage_used_up, {"feature": "sessions"}, "sessions"),
    "rate_limited": (nothing, {"feature": "session_creation", "amount": 11}, "session_creation"),
    "feature_not_available": (nothing, {"items": [{"feature": "basic_context"}, {"feature": "git_integration"}]}, "git_integration"),
    "payment_required": (lapsed, {"feature": "git_integration"}, "git_integration"),
    "validation_error": (nothing, {"feature": "invented"}, ""),
    "malformed_request": (nothing, b"{", ""),
}


@pytest.mark.parametrize("code", REFUSED)
def test_every_refused_authorize_is_recorded_with_its_code(api, owner, acme, code):
    prepare, body, feature = REFUSED[code]
    prepare(acme)
    assert problem(api.post(URL, body, by=owner))[1] == code
    assert recorded(acme) == {}  # A request writes nothing.
    flush()
    key = ApiKey.objects.get(organization=acme)
    assert recorded(acme, "code", "feature", "key_id", "tool") == {(code, feature, key.pk, ""): 1}


def test_refused_scopes_media_types_and_repetitions_are_recorded(api, owner, acme):
    reader = key_of(owner.membership, ["usage:read"])
    assert problem(api.post(URL, {"feature": "sessions"}, by=reader)) == (403, "insufficient_scope")
    assert problem(api.post(URL, b"feature=sessions", by=owner, content_type="text/plain"))[1] == "unsupported_media_type"
    assert api.post(URL, {"feature": "sessions"}, by=owner, idempotency_key="once").status_code == 200
    assert problem(api.post(URL, {"feature": "sessions", "amount": 2}, by=owner, idempotency_key="once"))[1] == "idempotency_conflict"
    flush()
    assert recorded(acme) == {"insufficient_scope": 1, "unsupported_media_type": 1, "idempotency_conflict": 1}


def test_refusals_that_a_test_cannot_provoke_have_the_same_path(acme):
    for refusal in (PlanInactive(feature="sessions"), TemporarilyUnavailable(retry_after=1)):
        record(UsageSubject.of(acme.pk), refusal)
    flush()
    assert recorded(acme, "code", "feature", "key_id") == {
        ("plan_inactive", "sessions", NO_KEY): 1,
        ("temporarily_unavailable", "", NO_KEY): 1,
    }


def test_allowed_requests_and_refusing_checks_are_not_recorded(api, owner, acme):
    assert api.post(URL, {"feature": "sessions"}, by=owner).status_code == 200
    assert api.post("/api/entitlements/check", {"feature": "git_integration"}, by=owner).json()["code"] == "feature_not_available"
    flush()
    assert recorded(acme) == {}


def test_a_check_that_is_refused_itself_is_recorded(api, owner, acme):
    reader = key_of(owner.membership, ["usage:read"])
    assert problem(api.post("/api/entitlements/check", {"feature": "sessions"}, by=reader))[0] == 403
    flush()
    assert recorded(acme) == {"insufficient_scope": 1}


def test_requests_without_valid_credentials_are_not_recorded(api, owner, acme):
    assert api.post(URL, {"feature": "sessions"}).status_code == 401
    assert api.post(URL, {"feature": "sessions"}, by=owner.key[:-1] + ("A" if owner.key[-1] != "A" else "B")).status_code == 401
    flush()
    assert not RefusalSummary.objects.filter(organization=acme).exists()


def test_each_refused_event_of_a_batch_is_recorded(api, owner, acme):
    events = [{"feature": "sessions", "idempotencyKey": "a"}, {"feature": "invented"}, {"feature": "other"}, {"feature": "git_integration"}]
    refused = api.post("/api/usage/events", {"events": events}, by=owner).json()["refused"]
    assert problem(api.post("/api/usage/events", {"feature": "invented"}, by=owner)) == (422, "validation_error")
    flush()
    assert refused >= 2
    assert sum(recorded(acme).values()) == refused + 1


def test_holds_and_gauges_are_recorded(api, owner, acme):
    hold = api.post(URL, {"feature": "sessions", "hold": True}, by=owner).json()["hold"]["id"]
    assert api.post(f"/api/usage/holds/{hold}/settle", {"amount": 1}, by=owner).status_code == 200
    assert problem(api.post(f"/api/usage/holds/{hold}/release", {}, by=owner))[1] == "hold_already_ended"
    assert problem(api.post("/api/usage/gauges/projects/release", {}, by=owner))[1] == "release_exceeds_usage"
    flush()
    assert recorded(acme, "code", "feature") == {("hold_already_ended", ""): 1, ("release_exceeds_usage", "projects"): 1}


def test_a_flood_of_invented_names_stays_bounded_and_exact(api, owner, acme):
    """100,000 refusals: some by HTTP, where unknown names are not stored, most by direct calls, whose names are trusted."""
    used_up(acme)
    requests = [{"feature": f"invented_{number}"} for number in range(100)] + [{"feature": "sessions"}, {"feature": "git_integration"}] * 5
    for body in requests:
        assert api.post(URL, body, by=owner).status_code in {403, 422, 429}
    flush()
    assert recorded(acme, "code", "feature") == {
        ("validation_error", ""): 100,
        ("quota_exceeded", "sessions"): 5,
        ("feature_not_available", "git_integration"): 5,
    }
    rows = RefusalSummary.objects.filter(organization=acme)
    before, counts = rows.count(), RefusalCounts()
    for number in range(99_890):
        code = ("rate_limited", "quota_exceeded", "feature_not_available")[number % 3]
        counts.add(acme.pk.bytes, code, f"feature_{number % 1000}", KEYLESS, "")
        if number % 9_000 == 0:
            counts.flush(connection.connection)
    counts.flush(connection.connection)
    minutes = rows.values("minute").distinct().count()
    assert rows.count() - before <= minutes * (aggregator.MAX_DETAILED_ROWS_PER_MINUTE + 3)
    assert sum(recorded(acme).values()) == 100_000
    assert recorded(acme)["rate_limited"] == 33_297


def test_flushes_within_a_minute_do_not_start_the_bound_anew(time_machine):
    time_machine.move_to(NOON, tick=False)
    counts = RefusalCounts()
    connection.ensure_connection()
    for round_ in range(5):
        for number in range(40):
            counts.add(ORGANIZATION.bytes, "rate_limited", f"f{round_ * 40 + number}", KEYLESS, "")
        counts.flush(connection.connection)
    rows = RefusalSummary.objects.filter(organization_id=ORGANIZATION)
    assert rows.count() == aggregator.MAX_DETAILED_ROWS_PER_MINUTE + 1
    assert rows.get(feature="").count == 200 - aggregator.MAX_DETAILED_ROWS_PER_MINUTE
    time_machine.move_to(NOON + timedelta(minutes=1), tick=False)
    counts.add(ORGANIZATION.bytes, "rate_limited", "f199", KEYLESS, "")
    counts.flush(connection.connection)
    assert rows.get(minute=NOON + timedelta(minutes=1)).feature == "f199"


class UnreachablePostgres:
    """A stand-in for an unreachable Postgres server."""

    def execute(self, *_):
        raise psycopg.OperationalError("away")


def dropped():
    return REGISTRY.get_sample_value("usage_refusals_dropped_total")


def test_without_postgres_counts_are_kept_up_to_the_bound(monkeypatch, time_machine):
    time_machine.move_to(NOON, tick=False)
    monkeypatch.setattr(aggregator, "MAX_DETAILED_ROWS", 10)
    monkeypatch.setattr(aggregator, "MAX_PENDING_ROWS", 20)
    counts, before = RefusalCounts(), dropped()
    for number in range(30):
        organization = UUID(int=number + 1).bytes
        counts.add(organization, "rate_limited", "sessions", KEYLESS, "")
        with pytest.raises(psycopg.OperationalError):
            counts.flush(UnreachablePostgres())
    assert dropped() - before == 10
    # Refusals with an existing row are still counted.
    counts.add(UUID(int=1).bytes, "rate_limited", "sessions", KEYLESS, "")
    connection.ensure_connection()
    counts.flush(connection.connection)
    rows = RefusalSummary.objects.filter(organization_id__in=[UUID(int=number + 1) for number in range(30)])
    assert sum(rows.values_list("count", flat=True)) == 20
    assert rows.exclude(feature="").count() == 10
    counts.flush(connection.connection)
    assert sum(rows.values_list("count", flat=True)) == 20


def test_a_statement_has_a_bounded_number_of_rows(monkeypatch):
    monkeypatch.setattr(store, "MAX_ROWS", 3)
    counts = RefusalCounts()
    for number in range(10):
        counts.add(UUID(int=number + 1).bytes, "rate_limited", "", KEYLESS, "")
    connection.ensure_connection()
    counts.flush(connection.connection)
    assert RefusalSummary.objects.filter(code="rate_limited", organization_id__lte=UUID(int=10)).count() == 10


def row(minute, code="rate_limited", count=1, **more):
    return RefusalSummary.objects.create(organization_id=ORGANIZATION, minute=minute, code=code, count=count, **more)


def test_groups_are_the_newest_first_and_filtered():
    key = uuid4()
    row(NOON, count=2, feature="a", key_id=key)
    row(NOON + timedelta(minutes=1), "quota_exceeded", 5, tool="search")
    row(NOON + timedelta(minutes=2), count=3)
    row(NOON - timedelta(minutes=1), count=9)
    found = refusals_of(ORGANIZATION, NOON + timedelta(seconds=30), NOON + timedelta(minutes=2))
    assert found == [
        RefusalGroup(NOON + timedelta(minutes=1), "quota_exceeded", "", NO_KEY, "search", 5),
        RefusalGroup(NOON, "rate_limited", "a", key, "", 2),
    ]
    ever = (ORGANIZATION, NOON - timedelta(days=1), NOON + timedelta(days=1))
    assert [group.count for group in refusals_of(*ever, limit=2)] == [3, 5]
    assert [group.count for group in refusals_of(*ever, code="rate_limited")] == [3, 2, 9]
    assert [group.count for group in refusals_of(*ever, feature="a")] == [2]
    assert [group.count for group in refusals_of(*ever, key_id=key)] == [2]
    assert refusals_of(uuid4(), *ever[1:]) == []


def test_groups_by_hour_and_day_are_sums():
    row(NOON, count=2)
    row(NOON + timedelta(minutes=59), count=3)
    row(NOON + timedelta(minutes=60), "quota_exceeded", 4)
    ever = (ORGANIZATION, NOON - timedelta(days=1), NOON + timedelta(days=1))
    hours = [(group.bucket, group.code, group.count) for group in refusals_of(*ever, length="hour")]
    assert hours == [(NOON + timedelta(hours=1), "quota_exceeded", 4), (NOON, "rate_limited", 5)]
    days = [(group.bucket, group.count) for group in refusals_of(*ever, length="day")]
    assert days == [(NOON.replace(hour=0), 5), (NOON.replace(hour=0), 4)]


@pytest.mark.parametrize("length", ["hour", "day"])
def test_a_page_of_sums_is_the_beginning_of_all_sums_across_gaps(length):
    for hours in (0, 1, 2, 5, 30, 31, 200, 800):
        for code in ("a", "b")[: 1 + hours % 2]:
            row(NOON - timedelta(hours=hours), code, 1 + hours)
    ever = (ORGANIZATION, NOON - timedelta(days=35), NOON + timedelta(days=1))
    everything = refusals_of(*ever, length=length)
    assert sum(group.count for group in everything) == sum((1 + hours) * (1 + hours % 2) for hours in (0, 1, 2, 5, 30, 31, 200, 800))
    assert everything == sorted(everything, key=lambda group: (group.bucket, group.count), reverse=True)
    for limit in range(1, len(everything) + 1):
        assert refusals_of(*ever, length=length, limit=limit) == everything[:limit]


def test_a_page_of_sums_reads_the_newest_buckets_only(django_assert_num_queries):
    for hours in range(40):
        row(NOON - timedelta(hours=hours), count=1)
    ever = (ORGANIZATION, NOON - timedelta(days=35), NOON + timedelta(days=1))
    with django_assert_num_queries(4) as queries:
        assert len(refusals_of(*ever, length="hour", limit=3)) == 3
    # The newest hour, and the two hours before it.
    assert [str(NOON - timedelta(hours=hours)) in queries[index]["sql"] for index, hours in ((1, 0), (3, 2))] == [True, True]


def test_the_record_is_kept_for_35_days():
    present = datetime.now(UTC)
    for days in (36, 36.5, 37, 34):
        row(present - timedelta(days=days))
    assert store.purge(present, batch=2) == 3
    row(present - timedelta(days=40))
    tasks.purge_refusals(0)
    assert RefusalSummary.objects.filter(organization_id=ORGANIZATION).count() == 1


def test_a_closed_or_missing_organization_does_not_stop_the_record(api, owner, acme):
    used_up(acme)
    api.post(URL, {"feature": "sessions"}, by=owner)
    record(UsageSubject.of(UUID(int=404)), PlanInactive(feature="sessions"))  # No such organization.
    flush()
    organizations.close(acme, None, reason="asked for it")
    flush()
    assert recorded(acme) == {"quota_exceeded": 1}
