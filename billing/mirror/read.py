"""Reading the mirror: plain documents, as last fetched."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from djstripe import models


def subscriptions(customer_id: str) -> list[dict[str, Any]]:
    found = models.Subscription.objects.filter(customer_id=customer_id).order_by("id").values_list("stripe_data", flat=True)
    schedules = dict(models.SubscriptionSchedule.objects.filter(customer__id=customer_id).values_list("id", "stripe_data"))
    return [document | {"schedule": schedules.get(document.get("schedule"))} for document in found]


def subscription_ids(customer_id: str) -> list[str]:
    return list(models.Subscription.objects.filter(customer_id=customer_id).values_list("id", flat=True))


def invoices(customer_id: str) -> list[dict[str, Any]]:
    return list(models.Invoice.objects.filter(customer_id=customer_id).order_by("id").values_list("stripe_data", flat=True))


def mirrored_invoices(invoice_ids: Iterable[str]) -> set[str]:
    """Those that are here, whoever's they are."""
    return set(models.Invoice.objects.filter(id__in=list(invoice_ids)).values_list("id", flat=True))
