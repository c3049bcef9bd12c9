"""Reads the mirror. All functions return documents as of the last fetch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from djstripe import models


def subscriptions(customer_id: str) -> list[dict[str, Any]]:
    """Return a customer's subscriptions with their schedules expanded."""
    documents = models.Subscription.objects.filter(customer_id=customer_id).order_by("id").values_list("stripe_data", flat=True)
    schedules = dict(models.SubscriptionSchedule.objects.filter(customer__id=customer_id).values_list("id", "stripe_data"))
    return [document | {"schedule": schedules.get(document.get("schedule"))} for document in documents]


def subscription_ids(customer_id: str) -> list[str]:
    return list(models.Subscription.objects.filter(customer_id=customer_id).values_list("id", flat=True))


def invoices(customer_id: str) -> list[dict[str, Any]]:
    return list(models.Invoice.objects.filter(customer_id=customer_id).order_by("id").values_list("stripe_data", flat=True))


def payment_methods(customer_id: str) -> list[dict[str, Any]]:
    return list(models.PaymentMethod.objects.filter(customer_id=customer_id).values_list("stripe_data", flat=True))


def mirrored_invoices(invoice_ids: Iterable[str]) -> set[str]:
    """Return the ids that are mirrored, for any customer."""
    return set(models.Invoice.objects.filter(id__in=list(invoice_ids)).values_list("id", flat=True))


def product_metadata(product_id: str) -> dict[str, str]:
    """Return a product's metadata; empty if the product is not mirrored."""
    document = models.Product.objects.filter(id=product_id).values_list("stripe_data", flat=True).first()
    return (document or {}).get("metadata") or {}


def coupon(coupon_id: str) -> dict[str, Any] | None:
    """Return a coupon's document; None if it is not mirrored."""
    document: dict[str, Any] | None = models.Coupon.objects.filter(id=coupon_id).values_list("stripe_data", flat=True).first()
    return document


def customers_with_price(price_id: str) -> set[str]:
    """Return the ids of the customers who have a subscription item of this price."""
    return set(models.SubscriptionItem.objects.filter(price__id=price_id).values_list("subscription__customer__id", flat=True))
