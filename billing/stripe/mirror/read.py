"""Reads the mirror. All functions return documents as of the last fetch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import F, Func, TextField
from djstripe import models

# The last digits of a payment method of any type. This must equal the expression of the index (billing.0014_payment_method_digits).
DIGITS = Func(F("stripe_data"), template="((%(expressions)s -> (%(expressions)s ->> 'type')) ->> 'last4')", output_field=TextField())


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


def customers_by_digits(last4: str, brand: str = "", limit: int = 1000) -> dict[str, str]:
    """Return customers with a stored payment method (card or bank account) that ends in these digits, and its brand or type.

    With `brand`, only cards of that brand are read. At most the newest `limit` payment methods are read.
    """
    rows = models.PaymentMethod.objects.alias(digits=DIGITS).filter(digits=last4, customer__isnull=False)
    if brand:
        rows = rows.filter(stripe_data__card__brand__iexact=brand)
    found = rows.order_by("-djstripe_id").values_list("customer_id", "stripe_data__card__brand", "stripe_data__type")[:limit]
    return {customer: card or kind for customer, card, kind in found}


def mirrored_invoices(invoice_ids: Iterable[str]) -> set[str]:
    """Return those of the ids that are mirrored, for any customer."""
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
