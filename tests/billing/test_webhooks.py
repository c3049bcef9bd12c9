"""The endpoint that receives Stripe's events."""

import json
import time

import pytest
from django.test import override_settings

from billing.inbound import inbox, process_events
from billing.models import WebhookEvent
from tests.support.api import problem
from tests.support.stripe import OLD_WEBHOOK_SECRET, WEBHOOK_SECRET, jobs, post, sign

pytestmark = [pytest.mark.django_db]
PATH = "/api/billing/webhooks/stripe"


def event(number=1, kind="customer.updated", thing=None, **more):
    return {
        "id": f"evt_{number}",
        "object": "event",
        "type": kind,
        "created": 1_800_000_000,
        "livemode": False,
        "data": {"object": {"object": "customer", "id": "cus_1"} if thing is None else thing},
        **more,
    }


@pytest.fixture(autouse=True)
def _secret():
    with override_settings(STRIPE_WEBHOOK_SECRETS=[WEBHOOK_SECRET]):
        yield


def test_an_event_is_stored_and_its_customer_queued():
    assert post(event()).status_code == 200
    row = WebhookEvent.objects.get()
    assert (row.event_id, row.type, row.subject, row.state, row.source) == ("evt_1", "customer.updated", "cus_1", "pending", "webhook")
    assert row.payload["data"]["object"]["id"] == "cus_1"
    assert [(name, args) for _, name, args in jobs()] == [("billing.process_events", {"subject": "cus_1"})]


def test_a_duplicate_is_accepted_and_not_queued():
    post(event())
    assert post(event()).status_code == 200
    assert WebhookEvent.objects.count() == 1
    assert len(jobs()) == 1


def test_storing_takes_one_statement_and_no_stripe_call(django_assert_num_queries, monkeypatch):
    statements = []
    execute = inbox._execute
    monkeypatch.setattr(inbox, "_execute", lambda values: statements.append(values) or execute(values))
    with override_settings(STRIPE_SECRET_KEY=""), django_assert_num_queries(0):  # next to the valid one
        assert post(event(2)).status_code == 200
    assert len(statements) == 1


@pytest.mark.parametrize(
    ("body", "header"),
    [
        pytest.param(json.dumps(event()), "", id="unsigned"),
        pytest.param(json.dumps(event()), "t=1,v1=00", id="garbage"),
        pytest.param(json.dumps(event()), "nonsense", id="nonsense"),
        pytest.param(json.dumps(event()), sign(json.dumps(event()), "whsec_other"), id="forged"),
        pytest.param(json.dumps(event()), sign(json.dumps(event()), at=time.time() - 301), id="stale"),
        pytest.param(json.dumps(event()) + " ", sign(json.dumps(event())), id="tampered"),
        pytest.param(json.dumps(event()), sign(json.dumps(event()), scheme="v0"), id="v0 only"),
    ],
)
def test_an_unsigned_event_is_refused_and_not_stored(body, header):
    assert problem(post(body, header=header)) == (400, "signature_invalid")
    assert not WebhookEvent.objects.exists()
    assert not jobs()


def test_a_signature_is_valid_for_five_minutes():
    body = json.dumps(event())
    assert post(body, header=sign(body, at=time.time() - 295)).status_code == 200


def test_an_oversized_body_is_refused_and_not_stored():
    body = json.dumps(event(padding="x" * 2 * 1024 * 1024))
    assert problem(post(body)) == (413, "payload_too_large")
    assert not WebhookEvent.objects.exists()


def test_both_secrets_are_accepted_during_a_rotation():
    with override_settings(STRIPE_WEBHOOK_SECRETS=[WEBHOOK_SECRET, OLD_WEBHOOK_SECRET]):
        assert post(event(1), secret=OLD_WEBHOOK_SECRET).status_code == 200
        assert post(event(2)).status_code == 200
        body = json.dumps(event(3))
        both = f"{sign(body, OLD_WEBHOOK_SECRET)},{sign(body).split(',')[1]}"
        assert post(body, header=both).status_code == 200
    assert problem(post(event(4), secret=OLD_WEBHOOK_SECRET)) == (400, "signature_invalid")
    assert WebhookEvent.objects.count() == 3


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        "not json",
        "[" * 100_000,
        json.dumps(event() | {"id": 7}),
        json.dumps(event() | {"id": "x" * 256}),
        json.dumps(event() | {"type": ""}),
        json.dumps(event() | {"created": 10**18}),
        json.dumps(event() | {"created": "now"}),
        json.dumps(event() | {"data": None}),
        json.dumps(event() | {"data": {"object": "cus_1"}}),
        json.dumps(event() | {"object": "list"}),
        '{"id":"evt_1","object":"event","type":"a","created":1,"data":{"object":{"a":"\\ud800"}}}',
    ],
)
def test_a_signed_body_that_is_no_event_is_refused(body):
    assert problem(post(body)) == (400, "malformed_request")
    assert not WebhookEvent.objects.exists()


def test_invalid_utf8_is_refused(client):
    answer = client.post(PATH, b"\xff\xfe", content_type="application/json", headers={"Stripe-Signature": "t=1,v1=0"})
    assert problem(answer) == (400, "malformed_request")


def test_a_nul_character_is_removed():
    assert post(json.dumps(event(note="a\0b"))).status_code == 200
    assert WebhookEvent.objects.get().payload["note"] == "ab"


@pytest.mark.parametrize("name", ["Acme \\u0000x", "\\u0000", "a\\\\u0000", "C:\\temp"])
def test_an_escaped_sequence_that_is_no_nul_is_kept(name):
    assert post(json.dumps(event(note=name))).status_code == 200
    assert WebhookEvent.objects.get().payload["note"] == name


def test_nul_and_escaped_sequence_in_one_name():
    assert post(json.dumps(event(note="\0\\\0\0u0000\\u0000\0"))).status_code == 200
    assert WebhookEvent.objects.get().payload["note"] == "\\u0000\\u0000"


def test_only_post_is_accepted(client):
    assert problem(client.get(PATH)) == (405, "method_not_allowed")


def test_without_a_secret_events_are_refused(client):
    with override_settings(STRIPE_WEBHOOK_SECRETS=[]):
        assert problem(post(event())) == (503, "billing_not_configured")


@pytest.mark.parametrize(
    ("kind", "thing", "more", "subject", "state"),
    [
        ("customer.subscription.updated", {"object": "subscription", "id": "sub_1", "customer": "cus_2"}, {}, "cus_2", "pending"),
        ("invoice.paid", {"object": "invoice", "id": "in_1", "customer": {"id": "cus_3", "object": "customer"}}, {}, "cus_3", "pending"),
        (
            "payment_method.detached",
            {"object": "payment_method", "id": "pm_1", "customer": None},
            {"previous_attributes": {"customer": "cus_4"}},
            "cus_4",
            "pending",
        ),
        ("refund.created", {"object": "refund", "id": "re_1", "charge": "ch_1"}, {}, "re_1", "pending"),
        ("product.updated", {"object": "product", "id": "prod_1"}, {}, "prod_1", "pending"),
        ("payment_intent.created", {"object": "payment_intent", "id": "pi_1", "customer": "cus_5"}, {}, "", "ignored"),
        ("balance.available", {"object": "balance"}, {}, "", "ignored"),
    ],
)
def test_each_event_joins_its_subjects_queue(kind, thing, more, subject, state):
    body = event(kind=kind, thing=thing)
    body["data"] |= more
    assert post(body).status_code == 200
    row = WebhookEvent.objects.get()
    assert (row.subject, row.state) == (subject, state)
    assert len(jobs()) == (state == "pending")


def test_a_burst_of_events_of_one_customer_queues_one_job():
    for number in range(20):
        assert post(event(number)).status_code == 200
    assert WebhookEvent.objects.pending().count() == 20
    assert len(jobs()) == 1


@pytest.mark.parametrize("kind", [["customer"], {"a": 1}, 7, None])
def test_an_object_of_no_known_kind_is_stored(kind):
    assert post(event(thing={"object": kind, "id": "x", "customer": "cus_1"})).status_code == 200
    assert WebhookEvent.objects.get().subject == "cus_1"


def test_a_large_event_is_accepted():
    assert post(event(thing={"object": "customer", "id": "cus_1", "description": "x" * 400_000})).status_code == 200
    assert WebhookEvent.objects.get().subject == "cus_1"


def test_a_customer_with_an_imported_id_is_a_customer(monkeypatch):
    synced = []
    monkeypatch.setattr(process_events, "sync_customer", lambda subject, **options: synced.append(subject))
    post(event(1, thing={"object": "customer", "id": "imported-7"}))
    process_events.process_events("imported-7")
    WebhookEvent.objects.update(state="processed")
    post(event(2, "invoice.paid", {"object": "invoice", "id": "in_1", "customer": "imported-8"}))
    process_events.process_events("imported-8")
    assert synced == ["imported-7", "imported-8"]
