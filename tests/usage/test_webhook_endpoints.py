"""Webhook endpoints: permissions to manage them, and the URLs that are accepted."""

import pytest
from django.db import connection

from accounts.models import AuditEvent
from tests.support.api import problem
from usage.models import WebhookDelivery, WebhookEndpoint
from usage.webhooks import secrets
from usage.webhooks.manager import MAX_ENDPOINTS, WebhookManager

ENDPOINTS = "/api/webhook-endpoints"
URL = "https://acme.example/hooks"


@pytest.fixture
def endpoint(owner):
    return WebhookManager(owner.organization).add(owner.caller, URL)[0]


def created(api, by, **body):
    return api.post(ENDPOINTS, {"url": URL, **body}, by=by)


def test_an_owner_adds_an_endpoint_and_sees_its_secret_once(api, owner):
    answer = created(api, owner, eventTypes=["usage.spike"], description="Pages us")
    assert answer.status_code == 201
    data = answer.json()
    assert data["secret"].startswith("whsec_")
    assert (data["url"], data["eventTypes"], data["enabled"], data["description"]) == (URL, ["usage.spike"], True, "Pages us")
    (listed,) = api.get(ENDPOINTS, by=owner).json()["data"]
    assert listed == {name: value for name, value in data.items() if name != "secret"}


def test_endpoint_receives_all_events_by_default(api, owner):
    assert created(api, owner).json()["eventTypes"] == ["subscription.changed", "usage.spike", "usage.threshold_reached"]


def test_secrets_are_encrypted_in_the_database(api, owner):
    secret = created(api, owner).json()["secret"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(one)::text FROM usage_webhook_endpoints AS one")
        (row,) = cursor.fetchone()
    assert secret not in row and secret.removeprefix("whsec_") not in row
    assert secrets.decrypt(WebhookEndpoint.objects.get().secret) == secret


def test_a_repeated_creation_makes_one_and_shows_no_secret_again(api, owner):
    first = api.post(ENDPOINTS, {"url": URL}, by=owner, idempotency_key="once")
    second = api.post(ENDPOINTS, {"url": URL}, by=owner, idempotency_key="once")
    assert second.status_code == 201 and second["Idempotent-Replayed"] == "true"
    assert second.json() == {**first.json(), "secret": None}
    assert WebhookEndpoint.objects.count() == 1


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "acme.example/hooks",
        "http://acme.example/",
        "ftp://acme.example/",
        "https://",
        "https:///path",
        "https://user:password@acme.example/",
        "https://acme.example/#part",
        "https://acme.example/a b",
        " https://acme.example/",
        "https://acme.example:99999/",
        "https://acme.example:0/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fe80::1]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.8/",
        "https://192.168.1.1/",
        "https://100.64.0.1/",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://metadata.google.internal/",
        "https://printer.local/",
        "https://intranet/",
        "https://a..example/",
        "https://[x",
        "https://a%5Bx.example/",
        "https://acme.example\\@localhost/",
        "https://" + "a" * 64 + ".example/",
        "https://acme.example/" + "a" * 2048,
        "https://acme.example/\x7f",
        "https://acme.example/\n",
    ],
)
def test_invalid_and_private_urls_are_refused(api, owner, url):
    assert problem(created(api, owner, url=url)) == (422, "validation_error")
    assert not WebhookEndpoint.objects.exists()


@pytest.mark.parametrize(
    "url",
    [
        "https://acme.example",
        "https://acme.example:8443/x?y=1",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/",
        "https://bücher.example/",
    ],
)
def test_public_urls_are_accepted(api, owner, url):
    assert created(api, owner, url=url).status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": None},
        {"url": 7},
        {"url": URL, "eventTypes": []},
        {"url": URL, "eventTypes": ["nothing.known"]},
        {"url": URL, "eventTypes": "usage.spike"},
        {"url": URL, "eventTypes": [None]},
        {"url": URL, "eventTypes": [["usage.spike"]]},
        {"url": URL, "description": "d" * 201},
        {"url": URL, "secret": "whsec_mine"},
        {"url": URL + "\0"},
        [],
        "text",
    ],
)
def test_invalid_bodies_are_refused(api, owner, body):
    assert problem(api.post(ENDPOINTS, body, by=owner)) == (422, "validation_error")


def test_the_number_of_endpoints_is_limited(api, owner):
    for _ in range(MAX_ENDPOINTS):
        assert created(api, owner).status_code == 201
    assert problem(created(api, owner)) == (409, "webhook_endpoint_limit_reached")


@pytest.mark.parametrize("who", ["admin", "member", "viewer", "stranger", None])
def test_only_an_owner_sees_or_changes_endpoints(api, endpoint, request, who):
    by = request.getfixturevalue(who) if who else None
    one = f"{ENDPOINTS}/{endpoint.pk}"
    answers = [
        api.get(ENDPOINTS, by=by),
        created(api, by),
        api.get(f"{one}/deliveries", by=by),
        api.post(f"{one}/test", by=by),
        api.delete(one, by=by),
    ]
    if who == "stranger":
        assert answers[0].json()["data"] == []
        assert answers[1].status_code == 201
        assert [problem(each) for each in answers[2:]] == [(404, "not_found")] * 3
    else:
        assert {each.status_code for each in answers} == {403 if who else 401}
        assert WebhookEndpoint.objects.count() == 1
    assert WebhookEndpoint.objects.filter(pk=endpoint.pk).exists()
    assert not WebhookDelivery.objects.exists()


def test_a_key_needs_the_scopes(api, owner, endpoint):
    from tests.factories.accounts import key_of

    reading, other = key_of(owner.membership, ["organization:read"]), key_of(owner.membership, ["usage:read"])
    assert api.get(ENDPOINTS, by=reading).status_code == 200
    assert problem(created(api, reading)) == (403, "insufficient_scope")
    assert problem(api.get(ENDPOINTS, by=other)) == (403, "insufficient_scope")


def test_deleted_endpoint_loses_its_deliveries(api, owner, endpoint):
    assert api.post(f"{ENDPOINTS}/{endpoint.pk}/test", by=owner).status_code == 202
    assert api.delete(f"{ENDPOINTS}/{endpoint.pk}", by=owner).status_code == 204
    assert problem(api.delete(f"{ENDPOINTS}/{endpoint.pk}", by=owner)) == (404, "not_found")
    assert not WebhookDelivery.objects.exists()


def test_a_test_is_queued_and_listed(api, owner, endpoint):
    path = f"{ENDPOINTS}/{endpoint.pk}"
    data = api.post(f"{path}/test", by=owner, idempotency_key="t").json()
    assert api.post(f"{path}/test", by=owner, idempotency_key="t").json() == data
    assert (data["eventType"], data["state"], data["attempts"], data["lastStatus"], data["lastError"]) == (
        "endpoint.test",
        "pending",
        0,
        None,
        "",
    )
    assert data["nextAttemptAt"]
    assert api.get(f"{path}/deliveries", by=owner).json()["data"] == [data]
    WebhookDelivery.objects.update(state="delivered")
    assert api.get(f"{path}/deliveries", by=owner).json()["data"][0]["nextAttemptAt"] is None


def test_a_disabled_endpoint_is_not_tested(api, owner, endpoint):
    WebhookEndpoint.objects.update(enabled=False, disabled_reason="The endpoint answered 410 Gone.")
    assert problem(api.post(f"{ENDPOINTS}/{endpoint.pk}/test", by=owner)) == (409, "webhook_endpoint_disabled")


def test_changes_are_audited_without_the_secret(api, owner):
    data = created(api, owner).json()
    api.post(f"{ENDPOINTS}/{data['id']}/test", by=owner)
    api.delete(f"{ENDPOINTS}/{data['id']}", by=owner)
    events = AuditEvent.objects.filter(action__startswith="webhook_endpoint.").order_by("id")
    assert [each.action.partition(".")[2] for each in events] == ["created", "tested", "deleted"]
    assert all(each.target == data["id"] and each.actor_key_id for each in events)
    assert data["secret"] not in str([(each.before, each.after) for each in events])


def test_the_number_of_pending_tests_is_limited(api, owner):
    endpoint = created(api, owner).json()["id"]
    statuses = [api.post(f"{ENDPOINTS}/{endpoint}/test", by=owner).status_code for _ in range(6)]
    assert statuses == [202] * 5 + [409]


def test_staff_can_view_endpoints_without_secrets(endpoint, owner, admin_client):
    delivery = WebhookManager(owner.organization).test(owner.caller, endpoint.pk)
    for model, pk in (("webhookendpoint", endpoint.pk), ("webhookdelivery", delivery.pk)):
        assert admin_client.get(f"/admin/usage/{model}/").status_code == 200
        page = admin_client.get(f"/admin/usage/{model}/{pk}/change/")
        assert page.status_code == 200
        assert b"gAAAA" not in page.content
        assert admin_client.post(f"/admin/usage/{model}/{pk}/change/", {}).status_code == 403
        assert admin_client.get(f"/admin/usage/{model}/add/").status_code == 403
    assert admin_client.get("/admin/usage/usagealert/").status_code == 200
