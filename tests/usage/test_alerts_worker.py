"""Alerts and webhooks sent by a real worker that is killed while it works."""

import pytest

from tests.support import webhook_receiver as receivers
from tests.support.workers import Worker, held, until
from usage.alerts.evaluate import evaluate_alerts
from usage.models import UsageAlert, WebhookDelivery
from usage.tracker import UsageTracker
from usage.webhooks.manager import WebhookManager

pytestmark = pytest.mark.django_db(transaction=True)


def test_evaluation_and_counting_do_not_block_each_other(acme):
    UsageTracker(acme).consume("sessions", 30)
    with held("SELECT * FROM usage_counters FOR UPDATE", []):
        assert evaluate_alerts() == 1


@pytest.mark.chaos
def test_a_worker_killed_while_sending_loses_no_email(acme, owner, monkeypatch, tmp_path, settings):
    monkeypatch.setenv("WEBHOOKS_ALLOW_PRIVATE", "true")
    settings.WEBHOOKS_ALLOW_PRIVATE = True
    workers = []
    with receivers.running() as receiver:
        receiver.answers = [60]
        _, secret = WebhookManager(acme).add(owner.caller, receiver.url)
        UsageTracker(acme).consume("sessions", 40)
        try:
            workers.append(Worker(log=tmp_path / "worker-0.log"))
            until(lambda: receiver.requests, "the first attempt", 40)
            workers[0].kill()
            assert WebhookDelivery.objects.get().state == "pending"
            workers.append(Worker(log=tmp_path / "worker-1.log"))
            until(lambda: WebhookDelivery.objects.filter(state="delivered").exists(), "the second attempt", 60)
        finally:
            for worker in workers:
                worker.stop()
        bodies = receiver.verified(secret)
    assert len(bodies) == 2 and bodies[0] == bodies[1]
    assert bodies[0]["type"] == "usage.threshold_reached" and bodies[0]["data"]["threshold"] == 80
    assert len({each.headers["webhook-id"] for each in receiver.requests}) == 1
    assert UsageAlert.objects.count() == 1
