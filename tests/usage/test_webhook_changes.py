"""Changing and disabling webhook endpoints, rotating secrets, redelivery, and endpoints that do not respond."""

from datetime import timedelta

import pytest
from django.utils import timezone
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from accounts.models import AuditEvent
from tests.factories.accounts import OrganizationFactory
from tests.support import webhook_receiver as receivers
from tests.support.api import problem
from usage import tasks
from usage.models import WebhookDelivery, WebhookEndpoint
from usage.webhooks import dispatcher, http_client, outbox, secrets
from usage.webhooks.manager import WebhookManager

pytestmark = pytest.mark.django_db
ENDPOINTS = "/api/webhook-endpoints"
SPIKE = {"feature": "sessions", "used": 7}


@pytest.fixture
def receiver(settings):
    settings.WEBHOOKS_ALLOW_PRIVATE = True
    with receivers.running() as result:
        yield result


@pytest.fixture
def endpoint(owner, receiver):
    created, created.known = WebhookManager(owner.organization).add(owner.caller, receiver.url)
    return created


@pytest.fixture
def path(endpoint):
    return f"{ENDPOINTS}/{endpoint.pk}"


def sent_at_once(endpoint):
    outbox.enqueue_for_subscribers(endpoint.organization, outbox.SPIKE, SPIKE)
    dispatcher.deliver_due()
    return WebhookDelivery.objects.latest("created_at")


def verifies(used, secret):
    try:
        Webhook(secret).verify(used.body, used.headers)
    except WebhookVerificationError:
        return False
    return True


def test_messages_carry_two_signatures_while_a_secret_is_rotated(api, owner, endpoint, receiver, path):
    rotated = api.post(f"{path}/rotate-secret", {"overlapSeconds": 3600}, by=owner).json()
    assert rotated["secret"] != endpoint.known and rotated["previousSecretExpiresAt"]
    sent_at_once(endpoint)
    (used,) = receiver.requests
    assert len(used.headers["webhook-signature"].split()) == 2
    assert verifies(used, endpoint.known) and verifies(used, rotated["secret"])
    WebhookEndpoint.objects.update(previous_secret_expires_at=timezone.now())
    sent_at_once(endpoint)
    assert verifies(receiver.requests[1], rotated["secret"]) and not verifies(receiver.requests[1], endpoint.known)
    tasks.purge_webhook_deliveries.func(timestamp=0)
    assert WebhookEndpoint.objects.get().previous_secret is None
    event = AuditEvent.objects.get(action="webhook_endpoint.secret_rotated")
    assert rotated["secret"] not in str(event.after)


def test_without_overlap_the_old_secret_is_not_used(api, owner, endpoint, receiver, path):
    rotated = api.post(f"{path}/rotate-secret", {"overlapSeconds": 0}, by=owner).json()
    assert rotated["previousSecretExpiresAt"] is None
    sent_at_once(endpoint)
    assert verifies(receiver.requests[0], rotated["secret"]) and not verifies(receiver.requests[0], endpoint.known)


def test_a_repeated_rotation_rotates_once_and_shows_no_secret(api, owner, endpoint, path):
    first = api.post(f"{path}/rotate-secret", {}, by=owner, idempotency_key="once").json()
    again = api.post(f"{path}/rotate-secret", {}, by=owner, idempotency_key="once").json()
    assert again == {**first, "secret": None}
    assert problem(api.post(f"{path}/rotate-secret", {"overlapSeconds": 8 * 86_400}, by=owner)) == (422, "validation_error")


def test_both_secrets_survive_a_server_secret_rotation(api, owner, endpoint, path, settings):
    api.post(f"{path}/rotate-secret", {}, by=owner)
    settings.API_KEY_SECRETS = {2: b"n" * 32, **settings.API_KEY_SECRETS}
    assert (secrets.reencrypt_all(), secrets.reencrypt_all()) == (2, 0)
    settings.API_KEY_SECRETS = {2: b"n" * 32}
    assert endpoint.known in secrets.valid_secrets(WebhookEndpoint.objects.get())


def test_an_endpoint_is_changed(api, owner, endpoint, receiver, path):
    outbox.enqueue_for_subscribers(endpoint.organization, outbox.SPIKE, SPIKE)
    with receivers.running() as other:
        data = api.patch(path, {"url": other.url, "eventTypes": ["usage.spike"], "description": "New"}, by=owner).json()
        assert (data["url"], data["eventTypes"], data["description"]) == (other.url, ["usage.spike"], "New")
        assert api.get(path, by=owner).json() == data
        dispatcher.deliver_due()
        assert (len(other.requests), receiver.requests) == (1, [])
    event = AuditEvent.objects.get(action="webhook_endpoint.changed")
    assert (event.before["url"], event.after["url"]) == (receiver.url, other.url)
    assert problem(api.patch(path, {"url": "nonsense"}, by=owner)) == (422, "validation_error")
    assert problem(api.patch(path, {"enabled": "yes"}, by=owner)) == (422, "validation_error")


def test_an_endpoint_is_disabled_and_enabled_again(api, owner, endpoint, receiver, path):
    assert api.patch(path, {"enabled": False}, by=owner).json()["disabledReason"] == "Disabled by an owner."
    assert outbox.enqueue_for_subscribers(endpoint.organization, outbox.SPIKE, SPIKE) == 0
    data = api.patch(path, {"enabled": True}, by=owner).json()
    assert (data["enabled"], data["disabledReason"]) == (True, "")
    assert sent_at_once(endpoint).state == "delivered"


def test_a_message_is_redelivered_under_its_id(api, owner, endpoint, receiver, path):
    receiver.answers = [410]
    result = sent_at_once(endpoint)
    again = f"{path}/deliveries/{result.pk}/redeliver"
    assert problem(api.post(again, by=owner)) == (409, "webhook_endpoint_disabled")
    api.patch(path, {"enabled": True}, by=owner)
    assert api.post(again, by=owner).json()["state"] == "pending"
    assert problem(api.post(again, by=owner)) == (409, "webhook_delivery_pending")
    dispatcher.deliver_due()
    result.refresh_from_db()
    assert (result.state, result.attempts) == ("delivered", 1)
    assert len({each.headers["webhook-id"] for each in receiver.requests}) == 1
    shown = api.get(f"{path}/deliveries/{result.pk}", by=owner).json()
    assert shown["body"] == result.body and [each["status"] for each in shown["attemptLog"]] == [410, 204]
    assert problem(api.get(f"{path}/deliveries/{endpoint.pk}", by=owner)) == (404, "not_found")
    assert AuditEvent.objects.filter(action="webhook_endpoint.redelivered").count() == 1
    assert problem(api.post(f"{path}/deliveries/{endpoint.pk}/redeliver", by=owner)) == (404, "not_found")


@pytest.mark.parametrize("who", ["admin", "member", "viewer"])
def test_only_an_owner_changes_an_endpoint(api, endpoint, path, request, who):
    by = request.getfixturevalue(who)
    answers = [
        api.get(path, by=by),
        api.patch(path, {"enabled": False}, by=by),
        api.post(f"{path}/rotate-secret", {}, by=by),
        api.post(f"{path}/deliveries/{endpoint.pk}/redeliver", by=by),
    ]
    assert {problem(answer)[0] for answer in answers} == {403}


def failed_for(endpoint, days):
    """Give up a message now, whose endpoint first failed this long ago."""
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(failing_since=timezone.now() - timedelta(days=days))
    outbox.enqueue_for_subscribers(endpoint.organization, outbox.SPIKE, SPIKE)
    WebhookDelivery.objects.filter(state="pending").update(attempts=7)
    dispatcher.deliver_due()
    endpoint.refresh_from_db()


def test_an_endpoint_failing_for_days_is_disabled(api, owner, endpoint, receiver, path, mailoutbox):
    receiver.answers = [503] * 3
    failed_for(endpoint, 2)
    assert endpoint.enabled
    failed_for(endpoint, 4)
    assert not endpoint.enabled and "three days" in endpoint.disabled_reason
    (mail,) = mailoutbox
    assert (mail.category, mail.to) == ("usage.webhook_endpoint_disabled", ["owner@acme.example"])
    assert endpoint.url in mail.body and str(endpoint.pk) in mail.body
    assert AuditEvent.objects.get(action="webhook_endpoint.disabled").target == str(endpoint.pk)
    data = api.patch(path, {"enabled": True}, by=owner).json()
    assert (data["enabled"], data["failingSince"]) == (True, None)


def test_one_success_ends_a_series_of_failures(endpoint, receiver):
    receiver.answers = [503]
    sent_at_once(endpoint)
    endpoint.refresh_from_db()
    assert endpoint.failing_since
    sent_at_once(endpoint)
    endpoint.refresh_from_db()
    assert endpoint.failing_since is None


def test_an_endpoint_that_returns_410_is_disabled(endpoint, receiver, mailoutbox):
    receiver.answers = [410]
    sent_at_once(endpoint)
    assert [mail.category for mail in mailoutbox] == ["usage.webhook_endpoint_disabled"]


def test_hanging_endpoints_delay_no_others(owner, endpoint, receiver, monkeypatch):
    monkeypatch.setattr(http_client, "TIMEOUT_SECONDS", 8.0)
    receiver.answers = [16] * 100
    for organization in [OrganizationFactory() for _ in range(3)]:
        created = WebhookManager(organization).add(owner.caller, receiver.url)[0]
        WebhookDelivery.objects.bulk_create(WebhookDelivery(endpoint=created, event_type=outbox.TEST, body="{}") for _ in range(30))
    with receivers.running() as quick:
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(url=quick.url)
        # More than one endpoint's share, so later deliveries need slots that others released.
        for _ in range(2 * dispatcher.MAX_PER_ENDPOINT):
            outbox.enqueue_for_subscribers(endpoint.organization, outbox.SPIKE, SPIKE)
        started = timezone.now()
        dispatcher.deliver_due(seconds=7)
        assert len(quick.requests) == 2 * dispatcher.MAX_PER_ENDPOINT
    delivered = WebhookDelivery.objects.filter(endpoint=endpoint, state="delivered")
    assert delivered.latest("finished_at").finished_at < started + timedelta(seconds=8)
    assert len(receiver.requests) <= 3 * dispatcher.MAX_PER_ENDPOINT


def test_failing_endpoints_do_not_use_all_slots(owner, endpoint, monkeypatch):
    monkeypatch.setattr(dispatcher, "MAX_CONCURRENT", 6)
    monkeypatch.setattr(dispatcher, "MAX_CONCURRENT_FAILING", 2)
    long_due = timezone.now() - timedelta(hours=1)
    for _ in range(4):
        bad = WebhookManager(OrganizationFactory()).add(owner.caller, endpoint.url)[0]
        WebhookEndpoint.objects.filter(pk=bad.pk).update(failing_since=long_due)
        WebhookDelivery.objects.bulk_create(
            WebhookDelivery(endpoint=bad, event_type=outbox.TEST, body="{}", next_attempt_at=long_due) for _ in range(5)
        )
    outbox.enqueue_for_subscribers(endpoint.organization, outbox.SPIKE, SPIKE)
    claimed = dispatcher._claim()
    assert [one.endpoint_id for one in claimed].count(endpoint.pk) == 1
    assert len(claimed) == 3
    assert dispatcher._claim(claimed) == []
