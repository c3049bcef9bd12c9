"""From Stripe's documents to our columns and grants. Pure: no clock, no database, no network."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KnownPrice:
    """What a price at Stripe stands for."""

    plan_version_id: int
    plan: str
    version: int
    interval: str
    amount: int


Prices = Mapping[str, KnownPrice]


def moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else at(seconds)


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _id(reference: Any) -> str:
    """Of an object, expanded or not."""
    return str(reference["id"] if isinstance(reference, Mapping) else reference or "")


def subscription_of(invoice: Document) -> str:
    parent = invoice.get("parent") or {}
    return _id((parent.get("subscription_details") or {}).get("subscription"))


def paid_by(invoices: Iterable[Document]) -> dict[str, Document]:
    """The invoice that each payment intent paid."""
    payments = ((payment["payment"], invoice) for invoice in invoices for payment in (invoice.get("payments") or {}).get("data", []))
    return {payment["payment_intent"]: invoice for payment, invoice in payments if payment.get("payment_intent")}


def subscription_fields(document: Document, invoices: Iterable[Document], prices: Prices, grace: timedelta) -> dict[str, Any]:
    """The columns of `SubscriptionState`. Periods stand on the items since 2025; the plan's item is the one that is not metered."""
    plan_item, overage_item = _items(document, prices)
    price = plan_item["price"] if plan_item else {}
    known = prices.get(price.get("id", ""))
    since = past_due_since(document, invoices)
    return {
        "stripe_customer_id": _id(document["customer"]),
        "status": document["status"],
        "plan_version_id": known.plan_version_id if known else None,
        "interval": (price.get("recurring") or {}).get("interval", ""),
        "stripe_price_id": price.get("id", ""),
        "stripe_item_id": plan_item["id"] if plan_item else "",
        "overage_item_id": overage_item["id"] if overage_item else "",
        "schedule_id": _id(document.get("schedule")),
        "currency": document["currency"],
        "unit_amount": price.get("unit_amount"),
        "discounts": [_discount(each) for each in document.get("discounts") or [] if isinstance(each, Mapping)],
        "started_at": moment(document["start_date"]),
        "current_period_start": moment(plan_item["current_period_start"]) if plan_item else None,
        "current_period_end": moment(plan_item["current_period_end"]) if plan_item else None,
        # Stable for the subscription's life, and the day it is billed on: Stripe's own anchor moves when the interval changes.
        "anchor": moment(document["trial_end"] or document["start_date"]),
        "trial_start": moment(document["trial_start"]),
        "trial_end": moment(document["trial_end"]),
        "cancel_at": moment(document["cancel_at"]),
        "canceled_at": moment(document["canceled_at"]),
        "ended_at": moment(document["ended_at"]),
        "past_due_since": since,
        "grace_until": since + grace if since else None,
        "upcoming_change": upcoming_change(document, prices),
        "latest_invoice_id": _id(document.get("latest_invoice")),
    }


def is_ours(document: Document, prices: Prices, products: Container[str]) -> bool:
    """Whether a subscription is for a plan of this product: by a known price, or by a price of a known product.

    A customer may have others beside it, such as a support contract made in the dashboard. They entitle to nothing, and nothing that a
    customer does here may change or end them.
    """
    priced = (item["price"] for item in document["items"]["data"])
    return any(price["id"] in prices or _id(price.get("product")) in products for price in priced)


def _items(document: Document, prices: Prices) -> tuple[Document | None, Document | None]:
    """The plan's item, ours before any that was added in the dashboard, and our metered one: other meters count nothing here."""
    items = document["items"]["data"]
    ours = [item for item in items if item["price"]["id"] in prices]
    plan = next((item for item in [*ours, *items] if not _metered(item)), None)
    return plan, next(filter(_metered, ours), None)


def _metered(item: Document) -> bool:
    return (item["price"].get("recurring") or {}).get("usage_type") == "metered"


def _discount(discount: Document) -> dict[str, Any]:
    coupon = (discount.get("source") or {}).get("coupon") or {}
    coupon = coupon if isinstance(coupon, Mapping) else {"id": coupon}
    promotion = discount.get("promotion_code")
    return {
        "coupon": coupon.get("id"),
        "code": promotion.get("code") if isinstance(promotion, Mapping) else None,
        "name": coupon.get("name"),
        "percent_off": coupon.get("percent_off"),
        "amount_off": coupon.get("amount_off"),
        "currency": coupon.get("currency"),
        "duration": coupon.get("duration"),
        "end": discount.get("end"),
    }


def past_due_since(document: Document, invoices: Iterable[Document]) -> datetime | None:
    """When the payment that is still missing first failed. None where none is missing.

    That is the oldest invoice tried in vain, or overdue, since one was paid: a debt from before then did not keep Stripe from going on,
    and must not cost the next failure its grace period. Not "when we first heard of it": that would differ with the order in which
    events come.
    One that was canceled for want of payment keeps it: access was over with the grace period, not when Stripe gave up.
    """
    if document["status"] not in ("past_due", "unpaid", "canceled"):
        return None
    since = None
    for invoice in sorted(invoices, key=lambda each: each["created"]):
        if subscription_of(invoice) != document["id"]:
            continue
        if invoice["status"] == "paid":
            since = None
        elif invoice["status"] in ("open", "uncollectible"):
            since = since or _missed_at(invoice)
    if since is None and document["status"] != "canceled":
        items = document["items"]["data"]
        since = items[0]["current_period_start"] if items else document["start_date"]
    return moment(since)


def _missed_at(invoice: Document) -> int | None:
    """When its payment failed. One that was sent to be paid by a date is not late before then, and not tried."""
    if invoice["collection_method"] == "send_invoice":
        due: int | None = invoice["due_date"]
        return due
    return (invoice["status_transitions"]["finalized_at"] or invoice["created"]) if invoice["attempted"] else None


def upcoming_change(document: Document, prices: Prices) -> dict[str, Any] | None:
    """What a schedule will make of the subscription, if it changes its plan."""
    schedule = document.get("schedule")
    if not isinstance(schedule, Mapping) or schedule["status"] != "active" or not schedule.get("current_phase"):
        return None
    plan_item, _ = _items(document, prices)
    boundary = schedule["current_phase"]["end_date"]
    for phase in schedule["phases"]:
        if phase["start_date"] < boundary:
            continue
        for item in phase["items"]:
            known = prices.get(_id(item["price"]))
            if known and known.interval != "overage" and (not plan_item or _id(item["price"]) != plan_item["price"]["id"]):
                return {
                    "plan": known.plan,
                    "version": known.version,
                    "interval": known.interval,
                    "amount": known.amount,
                    "at": phase["start_date"],
                }
    return None


def invoice_fields(document: Document, refunded: int) -> dict[str, Any]:
    """The columns of `Invoice`."""
    times = document["status_transitions"]
    return {
        "stripe_subscription_id": subscription_of(document),
        "number": document["number"] or "",
        "status": document["status"] or "draft",
        "billing_reason": document["billing_reason"] or "",
        "currency": document["currency"],
        "subtotal": document["subtotal"],
        "discount": sum(each["amount"] for each in document["total_discount_amounts"] or []),
        "tax": sum(each["amount"] for each in document["total_taxes"] or []),
        "total": document["total"],
        "amount_due": document["amount_due"],
        "amount_paid": document["amount_paid"],
        "amount_remaining": document["amount_remaining"],
        "refunded": refunded,
        "attempt_count": document["attempt_count"],
        "attempted": document["attempted"],
        "next_payment_attempt": moment(document["next_payment_attempt"]),
        "period_start": moment(document["period_start"]),
        "period_end": moment(document["period_end"]),
        "created_at": moment(document["created"]),
        "due_at": moment(document["due_date"]),
        "finalized_at": moment(times["finalized_at"]),
        "paid_at": moment(times["paid_at"]),
        "lines": [line_fields(line) for line in document["lines"]["data"]],
        "hosted_url": document.get("hosted_invoice_url") or "",
        "pdf_url": document.get("invoice_pdf") or "",
    }


def line_fields(line: Document) -> dict[str, Any]:
    parent = line.get("parent") or {}
    details = parent.get("subscription_item_details") or parent.get("invoice_item_details") or {}
    return {
        "description": line["description"] or "",
        "amount": line["amount"],
        "quantity": line.get("quantity"),
        "period_start": line["period"]["start"],
        "period_end": line["period"]["end"],
        "proration": bool(details.get("proration")),
    }
