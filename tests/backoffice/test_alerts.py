"""Alerts to the operator: conditions and thresholds, notices by email, webhook and Slack, retries, and the test button."""

import json
from datetime import timedelta

import pytest
from aiosmtpd.controller import Controller
from django.contrib.auth.models import Group
from django.core import mail
from django.urls import reverse

from accounts import alert_delivery, alert_messages, operator_alerts
from accounts.models import AlertDelivery, AuditEvent, OperatorAlert, User, WorkItem
from accounts.operator_alerts import Condition, raise_alert, report_conditions, resolve_alert
from billing.models import ReconciliationRun, SubscriptionState, WebhookEvent
from contextmcp.backoffice.alerts import conditions
from contextmcp.backoffice.alerts.conditions import CONDITIONS, evaluate
from contextmcp.common.clock import now
from contextmcp.common.models import IncidentCount
from contextmcp.devstack import ports
from contextmcp.devstack.mail import Mailbox, MailboxHandler
from tests.factories.accounts import UserFactory
from tests.support import webhook_receiver

pytestmark = pytest.mark.django_db
SECRET = "whsec_" + "c2VjcmV0IG9mIHRoZSBvcGVyYXRvciBmb3IgdGVzdHM="
TEST_PAGE = "/admin/alerts/test/"
HOUR = timedelta(hours=1)


@pytest.fixture
def receiver():
    with webhook_receiver.running() as receiver:
        yield receiver


@pytest.fixture
def slack():
    with webhook_receiver.running() as receiver:
        yield receiver


@pytest.fixture
def channels(settings, receiver, slack):
    settings.WEBHOOKS_ALLOW_PRIVATE = True
    settings.ALERT_EMAILS = ["ops@vendor.example"]
    settings.ALERT_WEBHOOK_URL, settings.ALERT_SLACK_URL = receiver.url, f"{slack.url}?token=hunter2"
    settings.ALERT_WEBHOOK_SECRET = SECRET


def documents(receiver):
    return [json.loads(each.body) for each in receiver.requests]


def shift(**fields):
    """Move the timestamps of all alerts into the past."""
    for alert in OperatorAlert.objects.all():
        for name, by in fields.items():
            setattr(alert, name, getattr(alert, name) - by)
        alert.save()


def subjects():
    return [message.subject for message in mail.outbox]


class TestNotices:
    def test_an_alert_is_sent_through_every_channel(self, channels, receiver, slack, acme):
        raise_alert("unknown_price", acme, subject="sub_1", price="price_1 <b>")
        assert alert_delivery.deliver_due() == 2
        (message,) = mail.outbox
        assert (message.to, message.subject) == (["ops@vendor.example"], "Alert: unknown_price (sub_1)")
        assert "price: price_1" in message.body and "Acme" in message.body
        (document,) = receiver.verified(SECRET)
        assert document["type"] == "alert.opened"
        assert {name: document["data"][name] for name in ("kind", "subject", "message", "occurrences")} == {
            "kind": "unknown_price",
            "subject": "sub_1",
            "message": "price: price_1 <b>",
            "occurrences": 1,
        }
        assert document["data"]["organization"] == {"id": str(acme.pk), "name": "Acme"}
        (text,) = documents(slack)
        assert "Alert: unknown_price (sub_1)*\nprice: price_1 &lt;b&gt;\nOrganization: Acme" in text["text"]
        assert "webhook-signature" not in slack.requests[0].headers
        assert set(AlertDelivery.objects.values_list("state", "last_status")) == {("delivered", 204)}
        assert alert_delivery.deliver_due() == 0

    def test_repeated_occurrences_are_sent_once_a_day(self, channels, receiver):
        for _ in range(3):
            raise_alert("disputes", subject="dp_1")
        raise_alert("disputes", subject="dp_2")
        shift(notified_at=timedelta(days=1))
        for _ in range(2):
            raise_alert("disputes", subject="dp_1")
        alert_delivery.deliver_due()
        assert sorted((each["type"], each["data"]["subject"], each["data"]["occurrences"]) for each in documents(receiver)) == [
            ("alert.opened", "dp_1", 1),
            ("alert.opened", "dp_2", 1),
            ("alert.repeated", "dp_1", 4),
        ]
        assert OperatorAlert.objects.get(subject="dp_1").occurrences == 5

    def test_a_resolved_notice_is_sent_when_the_condition_ends(self, channels, receiver, acme):
        report_conditions("inbox_lag", [Condition("Slow.")])
        report_conditions("inbox_lag", [Condition("Slower.")])
        report_conditions("inbox_lag", [])
        assert OperatorAlert.objects.get().resolved_at is None
        shift(last_seen_at=operator_alerts.RESOLVE_AFTER)
        report_conditions("inbox_lag", [])
        report_conditions("inbox_lag", [])
        alert_delivery.deliver_due()
        assert [each["type"] for each in documents(receiver)] == ["alert.opened", "alert.resolved"]
        assert documents(receiver)[1]["data"]["message"] == "Slower."
        assert subjects() == ["Alert: inbox_lag", "Resolved: inbox_lag"]
        report_conditions("inbox_lag", [Condition("Slow again.")])
        alert = OperatorAlert.objects.get()
        assert (alert.resolved_at, alert.occurrences) == (None, 1)
        assert len(mail.outbox) == 3

    def test_conditions_of_other_kinds_and_objects_stay_open(self, channels):
        raise_alert("price_registered")
        report_conditions("disputes", [Condition("A", "dp_1"), Condition("B", "dp_2")])
        shift(last_seen_at=HOUR)
        report_conditions("disputes", [Condition("B", "dp_2")])
        assert set(OperatorAlert.objects.filter(resolved_at=None).values_list("code", "subject")) == {
            ("price_registered", ""),
            ("disputes", "dp_2"),
        }

    def test_superusers_receive_emails_without_a_setting(self, settings):
        User.objects.create_superuser("root@vendor.example", "x")
        UserFactory(is_staff=True)
        raise_alert("x")
        assert [message.to for message in mail.outbox] == [["root@vendor.example"]]
        assert not AlertDelivery.objects.exists()

    def test_texts_contain_no_secrets(self, channels, receiver, slack):
        secrets = "key cmcp_sk_live_abcdefghijkl and sk_live_abcdefghijklmnop"
        raise_alert("x", message=secrets)
        alert_delivery.deliver_due()
        for text in (*(each.body.decode() for each in [*receiver.requests, *slack.requests]), mail.outbox[0].body):
            assert "abcdefghijkl" not in text
        assert "hunter2" not in "".join(map(str, AlertDelivery.objects.values_list("body", "last_error")))

    def test_an_unavailable_database_raises_nothing(self, monkeypatch):
        from django.db import DatabaseError

        def fail(*args):
            raise DatabaseError

        monkeypatch.setattr(operator_alerts, "_occur", fail)
        raise_alert("x")


class TestDelivery:
    def test_a_failed_request_is_retried(self, channels, receiver, settings):
        settings.ALERT_SLACK_URL = ""
        receiver.answers = [500]
        raise_alert("x")
        assert alert_delivery.deliver_due() == 1
        delivery = AlertDelivery.objects.get()
        assert (delivery.state, delivery.attempts, delivery.last_error) == ("pending", 1, "HTTP status 500")
        assert alert_delivery.deliver_due() == 0
        AlertDelivery.objects.update(next_attempt_at=now())
        assert alert_delivery.deliver_due() == 1
        delivery.refresh_from_db()
        assert (delivery.state, delivery.attempts, delivery.last_error) == ("delivered", 2, "")
        assert len({each.headers["webhook-id"] for each in receiver.requests}) == 1

    def test_a_request_is_given_up_after_its_last_attempt(self, channels, receiver, settings):
        settings.ALERT_SLACK_URL = ""
        receiver.answers = [500] * 20
        raise_alert("x")
        for _ in range(12):
            alert_delivery.deliver_due()
            AlertDelivery.objects.update(next_attempt_at=now())
        delivery = AlertDelivery.objects.get()
        assert (delivery.state, delivery.attempts) == ("failed", len(alert_delivery.RETRY_SCHEDULE) + 1)
        assert delivery.finished_at

    def test_private_addresses_and_http_are_refused(self, channels, settings, receiver):
        settings.WEBHOOKS_ALLOW_PRIVATE = False
        assert "https" in str(alert_delivery.attempt("webhook", "m", "{}"))
        settings.ALERT_WEBHOOK_URL = receiver.url.replace("http://", "https://")
        assert "not public" in str(alert_delivery.attempt("webhook", "m", "{}"))
        assert receiver.requests == []

    def test_an_error_does_not_contain_the_url(self, channels, settings):
        settings.ALERT_SLACK_URL = "http://127.0.0.1:9/hunter2"
        text = str(alert_delivery.attempt("slack", "m", "{}"))
        assert text.startswith("The server cannot be reached") and "hunter2" not in text

    def test_a_redirect_is_not_followed(self, channels, receiver, slack):
        receiver.answers, receiver.redirect = [302], slack.url
        assert str(alert_delivery.attempt("webhook", "m", "{}")) == "HTTP status 302"
        assert slack.requests == []

    def test_old_deliveries_are_purged(self):
        AlertDelivery.objects.create(channel="slack", event="opened", body="{}", state="failed", created_at=now() - timedelta(days=31))
        pending = AlertDelivery.objects.create(channel="slack", event="opened", body="{}", created_at=now() - timedelta(days=31))
        alert_delivery.purge()
        assert AlertDelivery.objects.get() == pending


def dead_event():
    WebhookEvent.objects.create(event_id="evt_1", type="x", payload={}, received_at=now() - timedelta(seconds=400))


def work_item(kind):
    return lambda: WorkItem.objects.create(kind=kind, object_id="1", title="A problem", detail="Its detail")


def unknown_price(acme):
    present = {"started_at": now(), "anchor": now()}
    SubscriptionState.objects.create(organization=acme, stripe_subscription_id="sub_1", status="active", stripe_price_id="p", **present)


SITUATIONS = {
    "inbox_lag": dead_event,
    "dead_events": work_item("dead_event"),
    "drift": work_item("drift"),
    "disputes": work_item("dispute"),
    "failed_emails": work_item("failed_email"),
    "failed_jobs": work_item("failed_job"),
    "rejected_meter_reports": work_item("dead_meter_report"),
    "unknown_price": unknown_price,
    "usage_spike": work_item("usage_spike"),
    "reconciliation_failed": lambda: ReconciliationRun.objects.create(error="StripeUnavailable"),
    "key_guessing": lambda: IncidentCount.objects.create(kind="unknown_key", subject="192.0.2.1", minute=now(), count=100),
    "server_errors": lambda: IncidentCount.objects.create(kind="server_error", subject="api/x", minute=now(), count=20),
}


class TestConditions:
    @pytest.mark.parametrize("kind", CONDITIONS)
    def test_each_condition_opens_and_ends_an_alert(self, kind, acme, channels, django_assert_max_num_queries):
        situation = SITUATIONS[kind]
        situation(acme) if kind == "unknown_price" else situation()
        with django_assert_max_num_queries(80):
            evaluate()
        evaluate()
        alert = OperatorAlert.objects.get()
        assert (alert.code, alert.resolved_at, len(mail.outbox)) == (kind, None, 1)
        assert alert.message
        for model in (WebhookEvent, WorkItem, SubscriptionState, ReconciliationRun, IncidentCount):
            model.objects.all().delete()
        shift(last_seen_at=HOUR)
        evaluate()
        assert OperatorAlert.objects.get().resolved_at
        assert subjects()[1].startswith(f"Resolved: {kind}")

    @pytest.mark.parametrize("kind", CONDITIONS)
    def test_a_threshold_of_zero_disables_a_condition(self, kind, acme, settings):
        settings.ALERT_THRESHOLDS = {**settings.ALERT_THRESHOLDS, kind: 0}
        situation = SITUATIONS[kind]
        situation(acme) if kind == "unknown_price" else situation()
        evaluate()
        assert not OperatorAlert.objects.exists()

    @pytest.mark.parametrize("kind", ["disputes", "failed_jobs", "inbox_lag", "key_guessing", "server_errors", "unknown_price"])
    def test_nothing_is_reported_below_the_threshold(self, kind, acme, settings):
        settings.ALERT_THRESHOLDS = {**settings.ALERT_THRESHOLDS, kind: 1001}
        situation = SITUATIONS[kind]
        situation(acme) if kind == "unknown_price" else situation()
        evaluate()
        assert not OperatorAlert.objects.exists()

    def test_a_flood_opens_few_alerts(self):
        for number in range(50):
            WorkItem.objects.create(kind="dispute", object_id=str(number), title="A dispute")
            WorkItem.objects.create(kind="failed_email", object_id=str(number), title="An email")
        evaluate()
        assert OperatorAlert.objects.filter(code="disputes").count() == conditions.MAX_OBJECTS
        assert OperatorAlert.objects.get(code="failed_emails").message.startswith("50 emails could not be delivered")

    def test_items_that_are_done_do_not_alert(self):
        WorkItem.objects.create(kind="dispute", object_id="1", title="x", closed_at=now())
        evaluate()
        assert not OperatorAlert.objects.exists()

    def test_the_thresholds_are_documented(self):
        from contextmcp.devstack.services import REPOSITORY
        from contextmcp.settings.alerts import THRESHOLDS

        example = (REPOSITORY / ".env.example").read_text()
        documentation = (REPOSITORY / "docs/operations.md").read_text()
        assert set(THRESHOLDS) == set(CONDITIONS)
        for kind, (variable, default) in THRESHOLDS.items():
            assert f"\n{variable}={default}\n" in example
            assert f"| `{kind}` |" in documentation and f"`{variable}` ({default})" in documentation


@pytest.fixture
def mailbox(settings):
    """A real mail server."""
    mailbox = Mailbox()
    with ports.claims() as claims:
        server = Controller(MailboxHandler(mailbox), hostname="127.0.0.1", port=claims.first_free(25700))
        server.start()
    settings.EMAIL_DELIVERY_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = server.server.sockets[0].getsockname()
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    yield mailbox
    server.stop()


@pytest.fixture
def engineer(client):
    user = UserFactory(email="engineer@staff.example", name="Ed Engineer", is_staff=True)
    user.groups.add(Group.objects.get(name="engineer"))
    client.force_login(user)
    return user


class TestPages:
    def test_a_test_alert_shows_the_result_of_each_channel(self, client, engineer, channels, receiver, slack, mailbox):
        slack.answers = [403]
        page = client.post(TEST_PAGE, {"reason": "The new channel."})
        results = [(each.channel, each.succeeded, each.text) for each in page.context["results"]]
        assert results == [
            ("Email", True, "The mail server accepted 1 message."),
            ("Webhook", True, "Delivered: HTTP status 204."),
            ("Slack", False, "Not delivered: HTTP status 403"),
        ]
        assert all(text in page.text for _, _, text in results)
        (message,) = mailbox.mails
        assert (message.to, message.subject) == (["ops@vendor.example"], "Test alert: test")
        assert receiver.verified(SECRET)[0]["type"] == "alert.test"
        event = AuditEvent.objects.get(action="operator_alert.tested")
        assert (event.actor_user, event.reason) == (engineer, "The new channel.")
        assert event.after == {channel: text for channel, _, text in results}
        assert set(AlertDelivery.objects.values_list("channel", "state")) == {("webhook", "delivered"), ("slack", "failed")}
        assert not OperatorAlert.objects.exists()
        assert alert_delivery.deliver_due() == 0

    def test_a_mail_server_that_is_away_is_a_result(self, client, engineer, settings, channels):
        settings.EMAIL_DELIVERY_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
        page = client.post(TEST_PAGE, {"reason": "x"})
        assert "The mail server did not accept the message (ConnectionRefusedError)." in page.text

    def test_a_test_alert_needs_a_reason(self, client, engineer, channels, receiver):
        assert "Enter a reason." in client.post(TEST_PAGE, {"reason": " "}).text
        assert "ops@vendor.example" in client.get(TEST_PAGE).text
        assert receiver.requests == []

    @pytest.mark.parametrize("role", ["viewer", "support", "finance"])
    def test_other_roles_cannot_send_test_alerts(self, client, role):
        user = UserFactory(is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        client.force_login(user)
        assert client.get(TEST_PAGE).status_code == 403
        assert client.post(TEST_PAGE, {"reason": "x"}).status_code == 403
        assert TEST_PAGE not in client.get(reverse("admin:accounts_operatoralert_changelist")).text

    def test_the_list_shows_channels_without_their_secrets(self, client, engineer, channels):
        page = client.get(reverse("admin:accounts_operatoralert_changelist"))
        assert "127.0.0.1" in page.text and "ops@vendor.example" in page.text
        assert "hunter2" not in page.text
        assert TEST_PAGE in page.text

    def test_staff_resolve_alerts_once(self, client, engineer, channels):
        raise_alert("x")
        address = reverse("admin:accounts_operatoralert_changelist")
        data = {"action": "resolve", "_selected_action": [OperatorAlert.objects.get().pk], "confirmed": "1", "reason": "Fixed."}
        assert "1 alert resolved." in client.post(address, data, follow=True).text
        assert "This alert is already resolved." in client.post(address, data, follow=True).text
        event = AuditEvent.objects.get(action="operator_alert.resolved")
        assert (event.actor_user, event.reason, event.target) == (engineer, "Fixed.", "alert:x")
        assert subjects() == ["Alert: x", "Resolved: x"]
        assert not resolve_alert(OperatorAlert.objects.get())

    def test_staff_send_a_failed_message_again(self, client, engineer, channels, receiver):
        alert = OperatorAlert.objects.create(code="x")
        body = alert_messages.body("webhook", alert, "opened")
        delivery = AlertDelivery.objects.create(alert=alert, channel="webhook", event="opened", body=body, state="failed", attempts=8)
        address = reverse("admin:accounts_alertdelivery_changelist")
        data = {"action": "retry", "_selected_action": [delivery.pk], "confirmed": "1", "reason": "The server is back."}
        assert "1 message queued." in client.post(address, data, follow=True).text
        assert alert_delivery.deliver_due() == 1
        assert "This message was delivered." in client.post(address, data, follow=True).text
        assert AuditEvent.objects.get(action="alert_delivery.retried").before == {"state": "failed", "attempts": 8}
