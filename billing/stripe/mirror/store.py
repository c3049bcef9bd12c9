"""Writes fetched documents to the mirror. Call these functions under the customer's lock, in its transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import stripe
from djstripe import models

from billing.errors import StripeMissing
from billing.stripe.djstripe_patches import api_key
from billing.stripe.gateway.client import translate_errors
from billing.stripe.gateway.customers import SUBSCRIBER
from contextmcp.common.ids import as_uuid

# Fields for which dj-stripe would write separate rows that become stale, or fetch each object. The stored document still contains them.
_WITHOUT_ROWS = {"invoice": ("lines", "discounts", "payments"), "subscription": ("discounts", "schedule")}


def write(document: dict[str, Any]) -> Any:
    """Mirror one document. dj-stripe fetches referenced objects that are not mirrored. An unchanged document costs one query."""
    kind = document["object"]
    model = _MODELS[kind]
    row = model.objects.filter(id=document["id"]).first()
    if row is not None and row.stripe_data == document:
        return row
    without_default = {name: value for name, value in document.items() if name not in _WITHOUT_ROWS.get(kind, ())}
    if kind == "customer":
        without_default["metadata"] = _readable(document.get("metadata") or {})
    stripe_object = stripe.convert_to_stripe_object(without_default, api_key=api_key())
    with translate_errors():
        row = model.sync_from_stripe_data(stripe_object, api_key=api_key())
    row.stripe_data = document
    row.save(update_fields=["stripe_data"])
    return row


def _readable(metadata: dict[str, str]) -> dict[str, str]:
    """Return the metadata without an invalid organization id. dj-stripe uses it as a primary key, and dashboard users can edit it."""
    return {name: value for name, value in metadata.items() if name != SUBSCRIBER or as_uuid(value)}


def write_customer(
    customer: dict[str, Any],
    *,
    payment_methods: Iterable[dict[str, Any]],
    subscriptions: Iterable[dict[str, Any]],
    invoices: Iterable[dict[str, Any]],
) -> None:
    """Mirror a customer with its payment methods, subscriptions and invoices, and delete mirrored objects that no longer exist."""
    _write_without_default_payment_method(customer)
    write(customer)
    _write_all("payment_method", customer["id"], payment_methods)
    for subscription in subscriptions:
        write_subscription(subscription)
    _write_all("invoice", customer["id"], invoices)


def _write_all(kind: str, customer_id: str, documents: Iterable[dict[str, Any]]) -> None:
    """Mirror all documents of a kind that a customer has. All unchanged documents together cost one query."""
    rows = _MODELS[kind].objects.filter(customer_id=customer_id)
    mirrored = dict(rows.values_list("id", "stripe_data"))
    for document in documents:
        if mirrored.pop(document["id"], None) != document:
            write(document)
    if mirrored:
        rows.filter(id__in=mirrored).delete()


def write_subscription(subscription: dict[str, Any]) -> None:
    """Mirror a subscription with its items, and with its schedule if that is expanded. Mirrored schedules that it left are deleted."""
    schedule = subscription.get("schedule")
    if isinstance(schedule, dict):
        row = write(subscription | {"schedule": schedule["id"]})
        write(schedule)
    else:
        row = write(subscription)
    schedule_id = schedule["id"] if isinstance(schedule, dict) else schedule
    models.SubscriptionSchedule.objects.filter(subscription=row).exclude(id=schedule_id).delete()
    item_ids = [item["id"] for item in subscription["items"]["data"]]
    models.SubscriptionItem.objects.filter(subscription=row).exclude(id__in=item_ids).delete()


def _write_without_default_payment_method(customer: dict[str, Any]) -> None:
    # The expanded default payment method refers to the customer. If the customer is not mirrored yet, dj-stripe would fetch it again.
    # Therefore it is first written without the default payment method.
    settings = customer.get("invoice_settings") or {}
    card = settings.get("default_payment_method")
    if isinstance(card, dict) and not models.Customer.objects.filter(id=customer["id"]).exists():
        without_default = {**customer, "invoice_settings": {**settings, "default_payment_method": None}}
        write(without_default)


def delete_customer(customer_id: str) -> None:
    """Mark a customer's rows as deleted at Stripe. They are kept for the record; its payment methods are deleted."""
    for row in models.Customer.objects.filter(id=customer_id):
        row.stripe_data = {**row.stripe_data, "deleted": True}
        row.default_payment_method = None
        row.save(update_fields=["stripe_data", "default_payment_method", "djstripe_updated"])
    models.PaymentMethod.objects.filter(customer_id=customer_id).delete()


def delete(kind: str, object_id: str) -> None:
    if kind in _MODELS:
        _MODELS[kind].objects.filter(id=object_id).delete()


def fetch(kind: str, object_id: str) -> None:
    """Fetch and mirror an object that belongs to no customer; delete it if it no longer exists at Stripe."""
    model = _MODELS[kind]
    try:
        with translate_errors():
            stripe_object = model(id=object_id).api_retrieve(api_key=api_key())
    except StripeMissing:
        delete(kind, object_id)
        return
    with translate_errors():
        model.sync_from_stripe_data(stripe_object, api_key=api_key())


CATALOG_KINDS = ("product", "price", "coupon", "promotion_code")
_MODELS: dict[str, Any] = {
    "customer": models.Customer,
    "payment_method": models.PaymentMethod,
    "subscription": models.Subscription,
    "subscription_schedule": models.SubscriptionSchedule,
    "invoice": models.Invoice,
    "product": models.Product,
    "price": models.Price,
    "coupon": models.Coupon,
    "promotion_code": models.PromotionCode,
}
