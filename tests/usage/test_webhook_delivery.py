"""Webhook deliveries: signatures, retries, single delivery, and blocked addresses."""

import asyncio
import json
import socket
import time
from datetime import timedelta

import pytest
from django.test import override_settings
from django.utils import timezone
from standardwebhooks.webhooks import WebhookVerificationError

from tests.support import webhook_receiver as receivers
from usage import tasks
from usage.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from usage.webhooks import dispatcher, http_client, outbox, secrets, signing
from usage.webhooks.manager import WebhookManager

pytestmark = pytest.mark.django_db
SPIKE = {"feature": "sessions", "used": 7, "period_start": timezone.now()}


@pytest.fixture
def anywhere(settings):
    settings.WEBHOOKS_ALLOW_PRIVATE = True


@pytest.fixture
def receiver(anywhere):
    with receivers.running() as result:
        yield result


@pytest.fixture
def endpoint(owner, receiver):
    created, created.known = WebhookManager(owner.organization).add(owner.caller, receiver.url)
    return created


def sent_at_once(endpoint):
    outbox.enqueue_for_subscribers(endpoint.organization, outbox.SPIKE, SPIKE)
    dispatcher.deliver_due()
    return WebhookDelivery.objects.latest("created_at")


def test_a_message_is_signed_by_standard_webhooks(endpoint, receiver):
    before = int(time.time())
    result = sent_at_once(endpoint)
    (body,) = receiver.verified(endpoint.known)
    assert body["type"] == "usage.spike"
    assert body["data"]["feature"] == "sessions" and body["data"]["periodStart"].endswith("Z")
    (used,) = receiver.requests
    assert used.headers["webhook-id"] == result.message_id
    assert before <= int(used.headers["webhook-timestamp"]) <= time.time()
    assert used.headers["content-type"] == "application/json"
    assert (result.state, result.attempts, result.last_status, result.last_error) == ("delivered", 1, 204, "")
    assert result.finished_at and result.claimed_until is None


def test_another_secret_or_a_changed_body_does_not_verify(endpoint, receiver):
    sent_at_once(endpoint)
    with pytest.raises(WebhookVerificationError):
        receiver.verified(signing.new_secret())
    (used,) = receiver.requests
    receiver.requests[0] = receivers.ReceivedRequest(used.path, used.headers, used.body.replace(b'"used":7', b'"used":8'))
    with pytest.raises(WebhookVerificationError):
        receiver.verified(endpoint.known)


def test_the_signature_matches_the_standards_example():
    secret, stamp = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 1614265330
    body = b'{"test": 2432232314}'
    created = signing.headers([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", stamp, body)
    assert created["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_only_subscribed_endpoints_receive_it(owner, stranger, endpoint, receiver):
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(event_types=["usage.threshold_reached"])
    WebhookManager(stranger.organization).add(stranger.caller, receiver.url)
    assert outbox.enqueue_for_subscribers(owner.organization, outbox.SPIKE, SPIKE) == 0
    assert outbox.enqueue_for_subscribers(owner.organization, outbox.THRESHOLD, SPIKE) == 1
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(enabled=False)
    assert outbox.enqueue_for_subscribers(owner.organization, outbox.THRESHOLD, SPIKE) == 0


def test_a_failure_is_retried_with_the_same_id(endpoint, receiver):
    receiver.answers = [500, 404, 301, 429] + [503] * 4
    result = sent_at_once(endpoint)
    waits = []
    while result.state == "pending":
        assert dispatcher.deliver_due() == 0
        waits.append((result.next_attempt_at - timezone.now()).total_seconds())
        WebhookDelivery.objects.update(next_attempt_at=timezone.now())
        dispatcher.deliver_due()
        result.refresh_from_db()
    assert (result.state, result.attempts, result.last_status) == ("failed", 8, 503)
    assert waits == sorted(waits) and waits[0] < 6 and sum(waits) > 15 * 3600
    assert len({each.headers["webhook-id"] for each in receiver.requests}) == 1
    assert len(receiver.verified(endpoint.known)) == 8
    WebhookDelivery.objects.update(next_attempt_at=timezone.now())
    assert dispatcher.deliver_due() == 0


def test_endpoint_receives_the_message_after_it_recovers(endpoint, receiver):
    receiver.answers = [503]
    assert sent_at_once(endpoint).state == "pending"
    WebhookDelivery.objects.update(next_attempt_at=timezone.now())
    tasks.deliver_webhooks.func(timestamp=0)
    assert WebhookDelivery.objects.get().state == "delivered"


def test_deleted_endpoint_receives_nothing_more(endpoint, receiver):
    receiver.answers = [410]
    assert sent_at_once(endpoint).state == "failed"
    endpoint.refresh_from_db()
    assert not endpoint.enabled and "410" in endpoint.disabled_reason
    assert outbox.enqueue_for_subscribers(endpoint.organization, outbox.SPIKE, SPIKE) == 0


def test_messages_of_closed_organizations_are_not_sent(endpoint, receiver):
    outbox.enqueue_for_subscribers(endpoint.organization, outbox.SPIKE, SPIKE)
    type(endpoint.organization).objects.update(closed_at=timezone.now())
    dispatcher.deliver_due()
    row = WebhookDelivery.objects.get()
    assert (row.state, row.last_error, receiver.requests) == ("failed", "endpoint_disabled", [])


def test_no_redirect_is_followed(endpoint, receiver):
    receiver.answers, receiver.redirect = [302], f"{receiver.url}/elsewhere"
    result = sent_at_once(endpoint)
    assert (result.state, result.last_status) == ("pending", 302)
    assert len(receiver.requests) == 1


def test_hanging_endpoint_times_out_and_delays_no_others(owner, endpoint, receiver, monkeypatch):
    monkeypatch.setattr(http_client, "TIMEOUT_SECONDS", 0.5)
    with receivers.running() as quick:
        WebhookManager(owner.organization).add(owner.caller, quick.url)
        receiver.answers = [3] * 8
        for _ in range(8):
            outbox.enqueue_for_subscribers(owner.organization, outbox.SPIKE, SPIKE)
        dispatcher.deliver_due(seconds=1.5)
        assert len(quick.requests) == 8
    assert set(WebhookDelivery.objects.filter(state="pending").values_list("last_error", flat=True)) == {"timeout"}


def test_an_endless_response_is_not_read(owner, anywhere):
    server = socket.create_server(("127.0.0.1", 0))
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 1000

    async def once():
        sent = asyncio.ensure_future(
            http_client.send(
                http_client.DeliveryAttempt(f"http://127.0.0.1:{server.getsockname()[1]}/", (signing.new_secret(),), "msg_1", b"{}")
            )
        )
        connection = (await asyncio.to_thread(server.accept))[0]
        with connection:
            await asyncio.to_thread(connection.recv, 65536)
            connection.sendall(answer)
            return await sent

    with server:
        assert asyncio.run(once()).succeeded


@pytest.mark.parametrize("message", [b"SSH-2.0-x\r\n", b"HTTP/1.1 \xff\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nA: " + b"a" * 300_000])
def test_an_invalid_http_response_is_a_failure(message):
    with override_settings(WEBHOOKS_ALLOW_PRIVATE=True), socket.create_server(("127.0.0.1", 0)) as server:

        async def once():
            url = f"http://127.0.0.1:{server.getsockname()[1]}/"
            sent = asyncio.ensure_future(http_client.send(http_client.DeliveryAttempt(url, (signing.new_secret(),), "msg_1", b"{}")))
            connection = (await asyncio.to_thread(server.accept))[0]
            await asyncio.to_thread(connection.recv, 65536)
            connection.sendall(message)
            connection.shutdown(socket.SHUT_WR)
            result = await sent
            connection.close()
            return result

        assert asyncio.run(once()).error in ("bad_answer", "no_connection")


def attempt(url):
    return asyncio.run(http_client.send(http_client.DeliveryAttempt(url, (signing.new_secret(),), "msg_1", b"{}")))


def test_connection_errors_are_failures(anywhere, receiver):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert attempt(f"http://127.0.0.1:{port}/").error == "no_connection"
    assert attempt("http://unknown.invalid/").error == "unknown_host"
    assert attempt(f"http://{'a' * 64}.example/").error == "unknown_host"
    assert attempt(f"https://127.0.0.1:{receiver.port}/").error == "tls_failed"


def test_a_private_address_is_not_called_in_production(endpoint, receiver, settings):
    settings.WEBHOOKS_ALLOW_PRIVATE = False
    result = sent_at_once(endpoint)
    assert (result.state, result.last_error, receiver.requests) == ("pending", "address_refused", [])


def test_a_claimed_message_is_not_sent_until_its_lease_expires(endpoint, receiver):
    outbox.enqueue_for_subscribers(endpoint.organization, outbox.SPIKE, SPIKE)
    WebhookDelivery.objects.update(claimed_until=timezone.now() + timedelta(seconds=30))
    assert dispatcher.deliver_due() == 0
    WebhookDelivery.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert dispatcher.deliver_due() == 1


def test_a_long_queue_does_not_block_other_endpoints(stranger, endpoint):
    busy, _ = WebhookManager(stranger.organization).add(stranger.caller, "http://127.0.0.1:9/")
    long_due = timezone.now() - timedelta(minutes=1)
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(endpoint=busy, event_type=outbox.TEST, body="{}", next_attempt_at=long_due) for _ in range(600)
    )
    outbox.enqueue_for_subscribers(endpoint.organization, outbox.SPIKE, SPIKE)
    claimed = [each.endpoint_id for each in dispatcher._claim()]
    assert claimed.count(endpoint.pk) == 1
    assert claimed.count(busy.pk) == dispatcher.MAX_PER_ENDPOINT


def test_secrets_survive_a_server_secret_rotation(endpoint, receiver, settings):
    old = settings.API_KEY_SECRETS
    settings.API_KEY_SECRETS = {2: b"n" * 32, **old}
    assert secrets.reencrypt_all() == 1
    assert secrets.reencrypt_all() == 0
    settings.API_KEY_SECRETS = {2: b"n" * 32}
    assert sent_at_once(endpoint).state == "delivered"
    settings.API_KEY_SECRETS = {3: b"x" * 32}
    assert secrets.reencrypt_all() == 0
    result = sent_at_once(endpoint)
    assert (result.state, result.last_error) == ("failed", "secret_unreadable")
    with pytest.raises(secrets.DecryptionFailed):
        secrets.decrypt(WebhookEndpoint.objects.get().secret)


def test_old_deliveries_are_purged_and_pending_ones_are_not(endpoint, monkeypatch):
    monkeypatch.setattr(dispatcher, "PURGE_BATCH", 1)
    sent_at_once(endpoint)
    done = sent_at_once(endpoint)
    assert WebhookAttempt.objects.filter(delivery=done, status=204, milliseconds__gte=0).count() == 1
    outbox.enqueue_for_subscribers(endpoint.organization, outbox.SPIKE, SPIKE)
    WebhookDelivery.objects.update(created_at=timezone.now() - timedelta(days=31))
    tasks.purge_webhook_deliveries.func(timestamp=0)
    assert WebhookDelivery.objects.count() == 1 and not WebhookDelivery.objects.filter(pk=done.pk).exists()
    assert not WebhookAttempt.objects.exists()


def test_a_message_rolls_back_with_its_change(endpoint):
    from django.db import transaction

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        outbox.enqueue_for_subscribers(endpoint.organization, outbox.SPIKE, SPIKE)
        raise ZeroDivisionError
    assert not WebhookDelivery.objects.exists()


def test_dispatch_is_queued_at_once_and_only_once(endpoint, django_capture_on_commit_callbacks):
    from tests.support.stripe import jobs

    with django_capture_on_commit_callbacks(execute=True):
        outbox.enqueue_for_subscribers(endpoint.organization, outbox.SPIKE, SPIKE)
    assert [name for _, name, _ in jobs(outbox.TASK)] == [outbox.TASK]


def test_the_body_is_stored_as_it_is_sent(endpoint, receiver):
    result = sent_at_once(endpoint)
    assert receiver.requests[0].body.decode() == result.body
    assert json.loads(result.body)["type"] == "usage.spike"
