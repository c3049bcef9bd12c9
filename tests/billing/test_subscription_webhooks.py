"""Customers receive webhooks about changes of their subscription."""

import json

import pytest

from billing.sync.customer import sync_customer
from tests.support.stripe import work
from usage.models import WebhookDelivery
from usage.webhooks.manager import WebhookManager

pytestmark = pytest.mark.django_db


def messages():
    rows = WebhookDelivery.objects.filter(event_type="subscription.changed").order_by("created_at", "id")
    return [json.loads(each.body)["data"] for each in rows]


def test_each_change_sends_one_webhook(payer, owner):
    WebhookManager(owner.organization).add(owner.caller, "https://acme.example/hooks")
    payer.buy()
    first = messages()
    assert first and first[-1]["plan"] == "pro" and first[-1]["status"] in ("trialing", "active")
    assert first[-1]["currentPeriodEnd"].endswith("Z") and first[-1]["organizationId"] == str(owner.organization.pk)
    sync_customer(payer.customer)
    work()
    assert len(messages()) == len(first)
    payer.world.sdk.subscriptions.update(payer.state.stripe_subscription_id, {"cancel_at_period_end": True})
    payer.world.deliver()
    assert len(messages()) == len(first) + 1
    assert messages()[-1]["cancelAt"]
