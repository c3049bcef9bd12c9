"""Writing what was fetched into the mirror. Call it under the customer's lock, in its transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import stripe
from djstripe import models

from billing.errors import StripeMissing
from billing.gateway.client import translated

from .remedies import api_key

# dj-stripe writes rows of their own for these that go stale, or fetches each. The document itself keeps them.
_WITHOUT_ROWS = {"invoice": ("lines", "discounts", "payments"), "subscription": ("discounts", "schedule")}


def write(document: dict[str, Any]) -> Any:
    """Mirror one object as Stripe has it; dj-stripe fetches what it refers to and has never seen. An unchanged one costs one query."""
    kind = document["object"]
    model = _MODELS[kind]
    row = model.objects.filter(id=document["id"]).first()
    if row is not None and row.stripe_data == document:
        return row
    bare = {name: value for name, value in document.items() if name not in _WITHOUT_ROWS.get(kind, ())}
    thing = stripe.convert_to_stripe_object(bare, api_key=api_key())
    with translated():
        row = model.sync_from_stripe_data(thing, api_key=api_key())
    row.stripe_data = document
    row.save(update_fields=["stripe_data"])
    return row


def write_customer(
    customer: dict[str, Any],
    *,
    payment_methods: Iterable[dict[str, Any]],
    subscriptions: Iterable[dict[str, Any]],
    invoices: Iterable[dict[str, Any]],
) -> None:
    """Mirror a customer and everything that hangs on it, and drop what no longer does."""
    _make_room(customer)
    write(customer)
    _write_all("payment_method", customer["id"], payment_methods)
    for subscription in subscriptions:
        write_subscription(subscription)
    _write_all("invoice", customer["id"], invoices)


def _write_all(kind: str, customer_id: str, documents: Iterable[dict[str, Any]]) -> None:
    """Everything of a kind that a customer has: however much of it is unchanged, that costs one query together."""
    rows = _MODELS[kind].objects.filter(customer_id=customer_id)
    here = dict(rows.values_list("id", "stripe_data"))
    for document in documents:
        if here.pop(document["id"], None) != document:
            write(document)
    if here:
        rows.filter(id__in=here).delete()


def write_subscription(subscription: dict[str, Any]) -> None:
    """With its items, and its schedule where that is expanded. One that was released or is over tells nothing any more, and goes."""
    schedule = subscription.get("schedule")
    if isinstance(schedule, dict):
        row = write(subscription | {"schedule": schedule["id"]})
        write(schedule)
    else:
        row = write(subscription)
    kept = schedule["id"] if isinstance(schedule, dict) else schedule
    models.SubscriptionSchedule.objects.filter(subscription=row).exclude(id=kept).delete()
    present = [item["id"] for item in subscription["items"]["data"]]
    models.SubscriptionItem.objects.filter(subscription=row).exclude(id__in=present).delete()


def _make_room(customer: dict[str, Any]) -> None:
    # The default card is expanded, and refers back to the customer that is not there yet: dj-stripe would fetch it again.
    settings = customer.get("invoice_settings") or {}
    card = settings.get("default_payment_method")
    if isinstance(card, dict) and not models.Customer.objects.filter(id=customer["id"]).exists():
        bare = {**customer, "invoice_settings": {**settings, "default_payment_method": None}}
        write(bare)


def delete_customer(customer_id: str) -> None:
    """Deleted at Stripe: the rows stay for the record, marked."""
    for row in models.Customer.objects.filter(id=customer_id):
        row.stripe_data = {**row.stripe_data, "deleted": True}
        row.default_payment_method = None
        row.save(update_fields=["stripe_data", "default_payment_method", "djstripe_updated"])
    models.PaymentMethod.objects.filter(customer_id=customer_id).delete()


def delete(kind: str, object_id: str) -> None:
    if kind in _MODELS:
        _MODELS[kind].objects.filter(id=object_id).delete()


def fetch(kind: str, object_id: str) -> None:
    """Mirror an object that belongs to no customer, as Stripe has it now; drop it where it is gone."""
    model = _MODELS[kind]
    try:
        with translated():
            found = model(id=object_id).api_retrieve(api_key=api_key())
    except StripeMissing:
        delete(kind, object_id)
        return
    with translated():
        model.sync_from_stripe_data(found, api_key=api_key())


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
