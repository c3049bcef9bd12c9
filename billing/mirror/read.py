"""Reading the mirror: plain documents, as last fetched."""

from __future__ import annotations

from typing import Any

from djstripe import models


def subscriptions(customer_id: str) -> list[dict[str, Any]]:
    rows = models.Subscription.objects.filter(customer_id=customer_id).order_by("id")
    schedules = {row.id: row.stripe_data for row in models.SubscriptionSchedule.objects.filter(customer__id=customer_id)}
    return [row.stripe_data | {"schedule": schedules.get(row.stripe_data.get("schedule"))} for row in rows]


def subscription_ids(customer_id: str) -> list[str]:
    return list(models.Subscription.objects.filter(customer_id=customer_id).values_list("id", flat=True))


def invoices(customer_id: str) -> list[dict[str, Any]]:
    return [row.stripe_data for row in models.Invoice.objects.filter(customer_id=customer_id).order_by("id")]
