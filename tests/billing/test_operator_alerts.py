"""Operator alerts: their emails, their metric, and how they are resolved."""

import re

import pytest
from django.core import mail
from django.urls import reverse
from procrastinate.contrib.django import app

from accounts.models import OperatorAlert
from accounts.operator_alerts import REPEAT_INTERVAL, resolve_alert
from billing import operator_alerts as alerts
from billing.errors import ServerMisconfigured, StripeRejected
from contextmcp.common.models import OutgoingEmail
from tests.factories.accounts import UserFactory
from tests.support.stripe import post, run

pytestmark = pytest.mark.django_db
UNEXPECTED = "An unexpected error."


class TestAlert:
    def test_an_alert_is_emailed_to_superusers_once_a_day(self, acme, settings):
        UserFactory(is_superuser=True, is_staff=True, email="root@vendor.example")
        UserFactory(is_staff=True, email="staff@vendor.example")
        for _ in range(3):
            alerts.raise_alert(ServerMisconfigured.code, acme, message="The key is refused.")
        email = OutgoingEmail.objects.get(category="operator_alert") if not mail.outbox else mail.outbox[0]
        assert "billing_not_configured" in email.subject
        assert OperatorAlert.objects.get().occurrences == 3
        OperatorAlert.objects.update(notified_at=OperatorAlert.objects.get().notified_at - REPEAT_INTERVAL)
        alerts.raise_alert(ServerMisconfigured.code, acme, message="The key is refused.")
        assert OutgoingEmail.objects.count() + len(mail.outbox) == 2

    def test_a_resolved_alert_reopens_on_recurrence(self, acme):
        alerts.raise_alert(ServerMisconfigured.code, acme, message="First.")
        resolve_alert(OperatorAlert.objects.get())
        assert OperatorAlert.objects.get().resolved_at
        alerts.raise_alert(ServerMisconfigured.code, None, message="Second.")
        alert = OperatorAlert.objects.get()
        assert (alert.resolved_at, alert.occurrences, alert.organization) == (None, 1, None)
        assert alert.message.endswith("Second.")

    def test_staff_resolve_an_alert_with_a_reason(self, acme, client):
        alerts.raise_alert(ServerMisconfigured.code, acme, message="First.")
        client.force_login(UserFactory(is_superuser=True, is_staff=True))
        address = reverse("admin:accounts_operatoralert_changelist")
        chosen = {"action": "resolve", "_selected_action": [OperatorAlert.objects.get().pk], "confirmed": "1", "reason": "New key."}
        assert client.post(address, chosen, follow=True).status_code == 200
        assert OperatorAlert.objects.get().resolved_at

    def test_an_alert_is_counted_in_a_metric(self, acme, client, settings):
        alerts.raise_alert(ServerMisconfigured.code, acme, message="First.")
        settings.METRICS_TOKEN = "scrape"
        page = client.get("/metrics", headers={"Authorization": "Bearer scrape"}).text
        assert re.search(r'operator_alerts_open\{code="billing_not_configured"\} 1', page)


JOBS = {
    "sync_customer": ({"customer_id"}, ("GET", "/v1/customers/"), "stripe_rejected"),
    "process_events": ({"subject"}, ("GET", "/v1/customers/"), "stripe_rejected"),
    "cancel_for_policy": ({"customer_id", "reason"}, ("DELETE", "/v1/subscriptions/"), "subscription_change_refused"),
    "cancel_all_subscriptions": ({"organization_id"}, ("DELETE", "/v1/subscriptions/"), "subscription_change_refused"),
    "update_customer": ({"organization_id"}, ("POST", "/v1/customers/"), "stripe_rejected"),
}


@pytest.mark.parametrize("job", JOBS)
def test_a_job_that_stripe_refuses_alerts_the_operator(payer, acme, job):
    payer.buy()
    payer.world.sdk.subscriptions.update(payer.state.stripe_subscription_id, {"cancel_at_period_end": True})
    for event in payer.world.new_events():
        post(event)
    names, (method, prefix), code = JOBS[job]
    payer.world.control("refusals", method=method, prefix=prefix, message=UNEXPECTED)
    values = {"customer_id": payer.customer, "subject": payer.customer, "organization_id": str(acme.pk), "reason": "refunded"}
    with pytest.raises(StripeRejected):
        run(f"billing.{job}", **{name: values[name] for name in names})
    alert = OperatorAlert.objects.get()
    assert (alert.code, alert.message, alert.organization) == (code, UNEXPECTED, acme)


def test_every_job_that_calls_stripe_alerts_the_operator():
    quiet = {"requeue_stranded_events", "purge_events", "send_notifications", "run_plan_migration", "rebuild_revenue"}
    names = {name for name in app.tasks if name.startswith("billing.")}
    assert {name.rpartition(".")[2] for name in names if not hasattr(app.tasks[name].func, "__wrapped__")} == quiet
