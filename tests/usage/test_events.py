"""Recording events: each is validated, counted once, and counted in its own period."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from tests.factories.usage import UsageCounterFactory, subscribe
from tests.support.api import problem
from usage.models import UsageCounter, UsageEvent, UsageSummary
from usage.store import partitions

URL = "/api/usage/events"
CODES = {400: "malformed_request", 413: "payload_too_large", 415: "unsupported_media_type", 422: "validation_error"}


def counted(organization, feature="sessions"):
    return {row.period_start: row.used for row in UsageCounter.objects.filter(organization=organization, feature=feature)}


def iso(moment):
    return moment.isoformat()


def test_one_event_is_counted(api, owner, acme):
    response = api.post(URL, {"feature": "sessions", "amount": 3}, by=owner)
    assert response.json() == {"accepted": 1, "duplicates": 0, "refused": 0, "results": [{"status": "accepted"}]}
    assert list(counted(acme).values()) == [3]
    event = UsageEvent.objects.get(organization=acme)
    assert abs(event.occurred_at - datetime.now(UTC)) < timedelta(seconds=10)


def test_events_count_beyond_the_limit(api, owner, acme):
    UsageCounterFactory(organization=acme, used=49)
    assert api.post(URL, {"feature": "sessions", "amount": 5}, by=owner).status_code == 200
    (usage,) = [one for one in api.get("/api/usage/current", by=owner).json()["usage"] if one["feature"] == "sessions"]
    assert (usage["used"], usage["remaining"], usage["overage"]) == (54, 0, 4)
    assert problem(api.post("/api/usage/authorize", {"feature": "sessions"}, by=owner))[1] == "quota_exceeded"


def test_each_event_of_many_has_its_own_result(api, owner, acme):
    events = [
        {"feature": "sessions", "idempotencyKey": "a"},
        {"feature": "sessions", "idempotencyKey": "a"},
        {"feature": "sessions", "idempotencyKey": "a", "amount": 2},
        {"feature": "nonsense"},
        {"feature": "sessions", "amount": "1"},
        {"feature": "sessions", "surprise": 1},
        {"amount": 1},
        "text",
        {"feature": "basic_context"},
        {"feature": "projects"},
        {"feature": "context_queries", "amount": 4},
    ]
    for body in ({"events": events}, events):
        data = api.post(URL, body, by=owner).json()
    assert data["refused"] == 8
    assert [one["status"] for one in data["results"]] == ["duplicate", "duplicate", *["refused"] * 8, "accepted"]
    assert data["results"][2]["code"] == "idempotency_conflict"
    assert data["results"][4]["errors"][0]["field"] == "amount"
    assert data["results"][5]["errors"] == [{"field": "surprise", "message": "Unknown field."}]
    assert data["results"][6]["errors"] == [{"field": "feature", "message": "This field is required."}]
    assert list(counted(acme).values()) == [1]
    assert list(counted(acme, "context_queries").values()) == [8]


def test_a_valid_batch_counts_once(api, owner, acme):
    events = {"events": [{"feature": "sessions", "idempotencyKey": f"k{number}"} for number in range(1000)]}
    assert api.post(URL, events, by=owner).json()["accepted"] == 1000
    assert api.post(URL, events, by=owner).json()["duplicates"] == 1000
    assert list(counted(acme).values()) == [1000]
    assert {row.grain: (row.amount, row.events) for row in UsageSummary.objects.filter(organization=acme)} == {
        "h": (1000, 1000),
        "d": (1000, 1000),
    }


def test_events_without_a_key_use_the_requests_key(api, owner, acme):
    events = [{"feature": "sessions"}, {"feature": "sessions"}]
    for _ in range(2):
        data = api.post(URL, events, by=owner, idempotency_key="batch-1").json()
    assert data["duplicates"] == 2
    api.post(URL, {"feature": "sessions"}, by=owner, idempotency_key="single")
    assert api.post(URL, {"feature": "sessions"}, by=owner, idempotency_key="single").json()["duplicates"] == 1
    assert list(counted(acme).values()) == [3]


def test_a_batch_has_1_to_1000_events(api, owner):
    assert problem(api.post(URL, [{"feature": "sessions"}] * 1001, by=owner)) == (413, "payload_too_large")
    assert problem(api.post(URL, {"events": []}, by=owner)) == (422, "validation_error")
    assert problem(api.post(URL, {"events": 3}, by=owner)) == (422, "validation_error")


def test_a_late_event_counts_in_its_own_period(api, owner, acme):
    acme.created_at = now() - timedelta(days=90)
    acme.save(update_fields=["created_at"])
    subscribe(acme, starts_at=now() - timedelta(days=80))
    late = now() - timedelta(days=34)
    assert api.post(URL, {"feature": "sessions", "occurredAt": iso(late)}, by=owner).status_code == 200
    entitlement = EntitlementsManager(acme).require("sessions")
    assert list(counted(acme)) == [entitlement.period(late).start]
    assert late not in entitlement.period(now())


def test_an_event_before_the_subscription_counts_on_free(api, owner, acme):
    acme.created_at = now() - timedelta(days=60)
    acme.save(update_fields=["created_at"])
    subscribe(acme, starts_at=now() - timedelta(days=5))
    api.post(URL, {"feature": "sessions", "occurredAt": iso(now() - timedelta(days=6))}, by=owner)
    api.post(URL, {"feature": "sessions", "occurredAt": iso(now() - timedelta(days=4))}, by=owner)
    starts = sorted(counted(acme))
    assert len(starts) == 2
    assert starts[1] == EntitlementsManager(acme).entitlements().anchor


def test_event_times_are_limited(api, owner):
    for shift, field_ok in [(-35 * 1440 - 1, False), (-35 * 1440 + 1, True), (4, True), (6, False)]:
        response = api.post(URL, {"feature": "sessions", "occurredAt": iso(now() + timedelta(minutes=shift))}, by=owner)
        assert (response.status_code == 200) is field_ok, response.content
        if not field_ok:
            assert response.json()["errors"][0]["field"] == "occurredAt"


def test_hours_are_in_utc(api, owner, acme):
    moment = (now() - timedelta(days=1)).replace(hour=20, minute=45, second=0, microsecond=0)
    sent = (moment + timedelta(hours=5, minutes=30)).replace(tzinfo=None).isoformat() + "+05:30"
    assert api.post(URL, {"feature": "sessions", "occurredAt": sent}, by=owner).status_code == 200
    assert UsageSummary.objects.get(organization=acme, grain="h").bucket == moment.replace(minute=0)
    assert UsageSummary.objects.get(organization=acme, grain="d").bucket == moment.replace(hour=0, minute=0)


def test_a_correction_is_a_new_event_with_a_reason(api, owner, acme):
    api.post(URL, {"feature": "sessions", "amount": 5}, by=owner)
    assert problem(api.post(URL, {"feature": "sessions", "amount": -2}, by=owner)) == (422, "validation_error")
    assert problem(api.post(URL, {"feature": "sessions", "amount": -2, "reason": " "}, by=owner)) == (422, "validation_error")
    assert problem(api.post(URL, {"feature": "sessions", "amount": 0}, by=owner)) == (422, "validation_error")
    api.post(URL, {"feature": "sessions", "amount": -2, "reason": "a failed start"}, by=owner)
    assert list(counted(acme).values()) == [3]
    assert UsageEvent.objects.get(organization=acme, amount=-2).reason == "a failed start"


def test_properties_are_stored_unchanged(api, owner, acme):
    api.post(URL, b'{"feature":"sessions","properties":{"model": "x","n":1.50}}', by=owner)
    assert UsageEvent.objects.get(organization=acme).properties == '{"model": "x","n":1.50}'
    big = {"feature": "sessions", "properties": {"text": "x" * 5000}}
    assert problem(api.post(URL, big, by=owner)) == (422, "validation_error")
    assert problem(api.post(URL, {"feature": "sessions", "properties": [1]}, by=owner)) == (422, "validation_error")


CLOUD = {
    "specversion": "1.0",
    "id": "A234-1234",
    "source": "/mcp/eu",
    "type": "sessions",
    "subject": "tool/search",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}


def test_cloud_events_are_accepted_alone_and_in_batches(api, owner, acme):
    kind = "application/cloudevents+json; charset=utf-8"
    time = iso(now())
    for _ in range(2):
        response = api.post(URL, {**CLOUD, "time": time, "data": {"amount": 2, "tool": "search"}}, by=owner, content_type=kind)
    assert response.json()["results"] == [{"status": "duplicate"}]
    many = [
        {**CLOUD, "id": "b"},
        {**CLOUD, "id": "c", "data": {"amount": 1.0}},
        {**CLOUD, "id": "e", "data": "text"},
        {**CLOUD, "id": "f", "data": '{"amount": 5}'},
        {**CLOUD, "id": "g", "data_base64": "eyJhbW91bnQiOiA1fQ=="},
        {**CLOUD, "specversion": "0.3"},
        {**CLOUD, "id": "d", "data": {"amount": "x"}},
    ]
    data = api.post(URL, many, by=owner, content_type="application/cloudevents-batch+json").json()
    assert [one["status"] for one in data["results"]] == ["accepted", "accepted", *["refused"] * 5]
    assert list(counted(acme).values()) == [4]
    assert '"tool": "search"' in UsageEvent.objects.filter(organization=acme).order_by("id").first().properties
    assert problem(api.post(URL, {"id": "x"}, by=owner, content_type="application/cloudevents+json")) == (422, "validation_error")


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b'{"events":[{]}', "application/json", 400),
        (b"[" * 5000, "application/json", 400),
        (b'{"feature":"sessions","amount":1e400}', "application/json", 422),
        (b'{"feature":"sessions","amount":99999999999999999999999}', "application/json", 422),
        (b'{"feature":"sessions","amount":NaN}', "application/json", 400),
        (b'{"feature":"\\u0000"}', "application/json", 422),
        (b'{"feature":"\\ud800"}', "application/json", 400),
        (b'{"feature":"sessions","reason":"\\u0000"}', "application/json", 422),
        (b'{"feature":"sessions","idempotencyKey":"\\u0000"}', "application/json", 422),
        (b'{"feature":"sessions","occurredAt":"yesterday"}', "application/json", 422),
        (b'{"feature":"sessions","occurredAt":"2026-01-01T00:00:00"}', "application/json", 422),
        (b'{"feature":"sessions","occurredAt":"0001-01-01T00:00:00+14:00"}', "application/json", 422),
        (b'{"feature":"sessions","occurredAt":"9999-12-31T23:59:59-14:00"}', "application/json", 422),
        (b'{"events":[],"more":1}', "application/json", 422),
        (b"[]", "application/cloudevents+json", 422),
        (b"{}", "application/cloudevents-batch+json", 422),
        (b"feature=sessions", "application/x-www-form-urlencoded", 415),
        (b"<a/>", "text/xml", 415),
        (b" " * (2 * 1024 * 1024 + 1), "application/json", 413),
    ],
)
def test_invalid_input_is_refused_with_a_message(api, owner, acme, body, kind, status):
    assert problem(api.post(URL, body, by=owner, content_type=kind)) == (status, CODES[status])
    assert counted(acme) == {}


def test_surrogates_are_refused_and_escaped_nul_is_kept(api, owner, acme):
    body = b'{"events":[{"feature":"sessions","properties":{"a":"\\u0000\\ud800"}}]}'
    assert api.post(URL, body, by=owner).json()["refused"] == 1
    assert api.post(URL, b'{"events":[{"feature":"sessions","properties":{"a":"\\u0000"}}]}', by=owner).json()["accepted"] == 1


def test_invalid_utf8_affects_only_its_event(api, owner, acme):
    body = b'{"events":[{"feature":"sessions"},{"feature":"\xff"},{"feature":"sessions","properties":{"a":"\xff"}}]}'
    assert [one["status"] for one in api.post(URL, body, by=owner).json()["results"]] == ["accepted", "refused", "refused"]
    assert list(counted(acme).values()) == [1]


def test_only_permitted_callers_can_report_events(api, member, viewer, stranger, acme):
    assert api.post(URL, {"feature": "sessions"}, by=member).status_code == 200
    assert problem(api.post(URL, {"feature": "sessions"}, by=viewer))[0] == 403
    assert problem(api.post(URL, {"feature": "sessions"}))[0] == 401
    assert api.post(URL, {"feature": "sessions"}, by=stranger).status_code == 200
    assert list(counted(acme).values()) == [1]


def test_missing_partition_is_created_when_needed(api, owner, acme, django_db_blocker):
    from django.db import connection

    month = datetime.now(UTC).replace(day=1)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {partitions.name(month)}")
    assert api.post(URL, {"feature": "sessions"}, by=owner).status_code == 200
    assert UsageEvent.objects.filter(organization=acme).count() == 1


def test_cloud_events_of_different_sources_never_share_a_key(api, owner, acme):
    pairs = [("a b", "c"), ("a", "b c"), ("a%20b", "c"), ("a", "b%20c")]
    many = [{**CLOUD, "source": source, "id": identifier} for source, identifier in pairs]
    data = api.post(URL, many, by=owner, content_type="application/cloudevents-batch+json").json()
    assert data["accepted"] == 4


SURROGATE = b'{"feature":"sessions","properties":{"text":"\\ud800"}}'
DEEP = b'{"feature":"sessions","properties":{"deep":' + b"[" * 1500 + b"]" * 1500 + b"}}"


@pytest.mark.parametrize("bad", [SURROGATE, DEEP, b'{"feature":"sessions","amount":01}', b"nonsense"])
@pytest.mark.parametrize(("start", "end"), [(b"[", b"]"), (b'{"events": [', b"]}")])
def test_an_invalid_event_is_refused_alone(api, owner, acme, bad, start, end):
    good = b'{"feature":"sessions","properties":{"quoted":"a \\" ] } , {"}}'
    response = api.post(URL, start + good + b", " + bad + b" ," + good + end, by=owner, content_type="application/json")
    assert [one["status"] for one in response.json()["results"]] == ["accepted", "refused", "accepted"]
    assert list(counted(acme).values()) == [2]


@pytest.mark.parametrize(
    "body", [b'[{"feature":"sessions"}', b'{"events":[{"a":"\\ud800"}],"more":1}', b'[{"a":"\\ud800"}}', b'[{"a":"\\ud800"}]]']
)
def test_a_batch_with_unbalanced_brackets_is_refused(api, owner, acme, body):
    assert problem(api.post(URL, body, by=owner, content_type="application/json")) == (400, "malformed_request")


@pytest.mark.parametrize("wrap", [lambda event: event, lambda event: [event], lambda event: {"events": [event]}])
def test_an_integral_float_is_accepted(api, owner, acme, wrap):
    assert api.post(URL, wrap({"feature": "sessions", "amount": 3.0}), by=owner).status_code == 200
    assert list(counted(acme).values()) == [3]


def test_the_size_of_properties_is_in_bytes(api, owner, acme):
    wide = {"feature": "sessions", "properties": {"text": "ä" * 3000}}
    body = json.dumps(wide, ensure_ascii=False).encode()
    assert problem(api.post(URL, body, by=owner, content_type="application/json")) == (422, "validation_error")
