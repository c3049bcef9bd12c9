"""Pages of webhook endpoints and their messages."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent
from contextmcp.common.models import IdempotencyRecord
from contextmcp.web import submissions
from tests.support import webhook_receiver
from usage.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from usage.webhooks import dispatcher, endpoint_health, outbox
from usage.webhooks.manager import MAX_ENDPOINTS, WebhookManager

pytestmark = pytest.mark.django_db
LIST = "/account/settings/webhooks/"
URL = "https://hooks.acme.example/in"
SECRET = re.compile(r"whsec_[\w+/=]{20,}")


@pytest.fixture
def endpoint(owner) -> WebhookEndpoint:
    return WebhookManager(owner.organization).add(owner.caller, URL)[0]


@pytest.fixture
def receiver(settings):
    settings.WEBHOOKS_ALLOW_PRIVATE = True
    with webhook_receiver.running() as running:
        yield running


def typed(**values):
    return {"url": URL, "description": "Pages us", "event_types": ["usage.spike"], **values}


def page_of(endpoint, *names: str) -> str:
    return f"{LIST}{endpoint.pk}/{''.join(f'{name}/' for name in names)}"


def test_from_the_first_endpoint_to_a_redelivered_message(owner, sign_in, receiver):
    client = sign_in(owner)
    assert "No endpoints yet" in client.get(LIST).text
    token = submissions.new_token()
    answers = [client.post(reverse("create-webhook"), typed(url=receiver.url, form_token=token)) for _ in range(2)]
    assert WebhookEndpoint.objects.count() == 1
    endpoint = WebhookEndpoint.objects.get()
    shown = {SECRET.search(client.get(answer.url).text)[0] for answer in (*answers, *answers)}
    (secret,) = shown
    assert secret not in str(list(IdempotencyRecord.objects.values())) + str(dict(client.session))
    assert client.post(reverse("forget-webhook-secret")).url == page_of(endpoint)
    assert "shown only when it is created" in client.get(answers[0].url, follow=True).text

    tests = [client.post(page_of(endpoint, "test"), {"form_token": token}) for _ in range(2)]
    assert tests[0].url == tests[1].url
    message = WebhookDelivery.objects.get()
    page = client.get(tests[0].url).text
    assert "data-waiting" in page and "endpoint.test" in page and message.message_id in page and "&quot;endpointId&quot;" in page
    dispatcher.deliver_due()
    state = client.get(reverse("webhook-delivery-state", args=[endpoint.pk, message.pk])).text
    assert "Delivered" in state and "HTTP 204" in state and " ms" in state and "data-waiting" not in state
    assert client.post(f"{tests[0].url}redeliver/").url == tests[0].url
    dispatcher.deliver_due()
    assert client.get(tests[0].url).text.count("HTTP 204") == WebhookAttempt.objects.count() == 2
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == message.message_id
    listed = client.get(page_of(endpoint)).text
    assert "endpoint.test" in listed and "HTTP 204" in listed


def test_rotation_shows_the_secret_and_both_signatures(owner, sign_in, receiver):
    endpoint, old = WebhookManager(owner.organization).add(owner.caller, receiver.url)
    client = sign_in(owner)
    page = client.post(page_of(endpoint, "rotate"), {"overlap": "3600"}, follow=True).text
    new = SECRET.search(page)[0]
    assert new != old and "also carry a signature with the old secret" in page
    assert "Messages carry both signatures until" in client.get(page_of(endpoint)).text
    outbox.enqueue_for_subscribers(owner.organization, outbox.SPIKE, {"feature": "sessions"})
    dispatcher.deliver_due()
    assert receiver.verified(old) == receiver.verified(new) != []
    page = client.post(page_of(endpoint, "rotate"), {"overlap": "0"}, follow=True).text
    assert "The old secret is no longer used" in page
    assert "note error" in client.post(page_of(endpoint, "rotate"), {"overlap": "1"}, follow=True).text


def test_editing_keeps_what_was_typed(endpoint, owner, sign_in):
    client = sign_in(owner)
    edit = page_of(endpoint, "edit")
    assert re.search(r'value="usage.spike"[^>]* checked', client.get(edit).text)
    for address, action in ((edit, page_of(endpoint, "change")), (reverse("new-webhook"), reverse("create-webhook"))):
        answer = client.post(action, typed(url="http://localhost/x", description="Kept"))
        assert answer.url == address
        page = client.get(address).text
        assert 'value="http://localhost/x"' in page and 'value="Kept"' in page and "note error" in page and 'aria-invalid="true"' in page
        assert not re.search(r'value="subscription.changed"[^>]* checked', page)
        assert "Select at least one event." in client.post(action, {"url": URL}, follow=True).text
        client.get(address)
    page = client.post(page_of(endpoint, "change"), typed(url=f"{URL}/new"), follow=True).text
    assert f"{URL}/new" in page and "Pages us" in page
    endpoint.refresh_from_db()
    assert endpoint.event_types == ["usage.spike"]


def test_disabling_and_enabling(endpoint, owner, sign_in):
    client = sign_in(owner)
    page = client.post(page_of(endpoint, "disable"), follow=True).text
    assert "Disabled by an owner." in page and "Send test event" not in page
    assert "note error" in client.post(page_of(endpoint, "test"), follow=True).text
    page = client.post(page_of(endpoint, "enable"), follow=True).text
    assert "Endpoint enabled." in page and "Send test event" in page
    endpoint_health.disable(endpoint, "The endpoint returned 410 Gone.")
    page = client.get(page_of(endpoint)).text
    assert "The endpoint returned 410 Gone." in page
    client.post(page_of(endpoint, "enable"))
    WebhookEndpoint.objects.update(failing_since=timezone.now())
    assert "All attempts have failed since" in client.get(page_of(endpoint)).text
    assert "Failing" in client.get(LIST).text


def test_deleting(endpoint, owner, sign_in):
    page = sign_in(owner).post(page_of(endpoint, "delete"), follow=True).text
    assert "Endpoint deleted." in page and "No endpoints yet" in page
    actions = set(AuditEvent.objects.filter(target=endpoint.pk).values_list("action", flat=True))
    assert actions == {"webhook_endpoint.created", "webhook_endpoint.deleted"}


def test_a_long_log_has_pages(endpoint, owner, sign_in):
    rows = [WebhookDelivery(endpoint=endpoint, event_type=outbox.TEST, body="{}", state="delivered") for _ in range(45)]
    for number, row in enumerate(rows):
        row.created_at = timezone.now() - timedelta(minutes=number)
    WebhookDelivery.objects.bulk_create(rows)
    client, address, seen = sign_in(owner), page_of(endpoint), []
    while address:
        page = client.get(address).text
        seen += re.findall(r"deliveries/([0-9a-f-]{36})/", page)
        older = re.search(r'href="(\?before=[^"]+)"', page)
        address = older and page_of(endpoint) + older[1]
    assert seen == [str(row.pk) for row in rows]
    for foreign in (uuid4(), "nonsense"):
        assert str(rows[0].pk) in client.get(page_of(endpoint) + f"?before={foreign}").text


def test_at_most_ten_endpoints(owner, sign_in):
    for number in range(MAX_ENDPOINTS):
        WebhookManager(owner.organization).add(owner.caller, f"{URL}/{number}")
    client = sign_in(owner)
    page = client.get(LIST).text
    assert "which is the maximum" in page and "Add endpoint" not in page
    assert "note error" in client.post(reverse("create-webhook"), typed(), follow=True).text


def test_only_owners_of_the_organization(endpoint, people, sign_in):
    message = WebhookManager(endpoint.organization).test(people["owner"].caller, endpoint.pk)
    read = [LIST, reverse("new-webhook"), page_of(endpoint), page_of(endpoint, "edit"), page_of(endpoint, "deliveries", str(message.pk))]
    write = [page_of(endpoint, name) for name in ("change", "enable", "disable", "delete", "rotate", "test")]
    write.append(page_of(endpoint, "deliveries", str(message.pk), "redeliver"))
    for role in ("admin", "member", "viewer", "stranger"):
        client = sign_in(people[role])
        statuses = [client.get(address).status_code for address in read]
        assert statuses == ([200, 200, 404, 404, 404] if role == "stranger" else [403] * 5), role
        for address in write:
            answer = client.post(address, {**typed(), "overlap": "0"})
            assert answer.status_code == (404 if role == "stranger" else 302), (role, address)
        assert f'href="{LIST}"' not in client.get(reverse("settings")).text or role == "stranger"
    before = (endpoint.url, endpoint.enabled, bytes(endpoint.secret))
    endpoint.refresh_from_db()
    assert (endpoint.url, endpoint.enabled, bytes(endpoint.secret)) == before
    assert WebhookDelivery.objects.count() == 1


def test_the_secret_is_not_shown_in_another_organization_or_browser(owner, stranger, sign_in):
    client = sign_in(owner)
    answer = client.post(reverse("create-webhook"), typed())
    other = sign_in(stranger)
    other.cookies[submissions.COOKIE] = client.cookies[submissions.COOKIE].value
    assert other.get(answer.url).url == LIST
    assert client.get(reverse("new-key")).url == reverse("keys")
