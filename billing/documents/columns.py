"""Convert Stripe's documents to column values. Pure functions: they use no clock, database or network."""

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from .grace_period import past_due_since
from .stripe_documents import Document, KnownPrice, Prices, at, reference_id, subscription_of, to_datetime


def payment_ids(invoices: Iterable[Document], charges: Iterable[Document], known: Mapping[str, str]) -> dict[str, str]:
    """Return each invoice's payment intent and charge ids, separated by spaces, including the ids in `known`.

    Staff search invoices by these ids, because bank statements, disputes and Stripe's dashboard show them.
    """
    charges_of: dict[str, list[str]] = {}
    for charge in charges:
        charges_of.setdefault(charge["payment_intent"] or "", []).append(charge["id"])
    result: dict[str, str] = {}
    for invoice in invoices:
        ids = set(known.get(invoice["id"], "").split())
        for payment in (invoice.get("payments") or {}).get("data", []):
            if intent := payment["payment"].get("payment_intent"):
                ids.update([intent, *charges_of.get(intent, [])])
        result[invoice["id"]] = " ".join(sorted(ids))
    return result


def subscription_fields(
    document: Document, invoices: Sequence[Document], prices: Prices, grace: timedelta, failures: Mapping[str, int | None]
) -> dict[str, Any]:
    """Return the columns of `SubscriptionState` for a subscription.

    Billing periods are fields of the subscription items since API version 2025-03-31. The plan's item is not metered.
    """
    plan_item, overage_item = plan_and_overage(document, prices)
    price = plan_item["price"] if plan_item else {}
    known = prices.get(price.get("id", "")) or last_plan(document, invoices, prices)
    since = past_due_since(document, invoices, failures)
    return {
        "stripe_customer_id": reference_id(document["customer"]),
        "status": document["status"],
        "plan_version_id": known.plan_version_id if known else None,
        "interval": (price.get("recurring") or {}).get("interval", ""),
        "stripe_price_id": price.get("id", ""),
        "stripe_item_id": plan_item["id"] if plan_item else "",
        "overage_item_id": overage_item["id"] if overage_item else "",
        "schedule_id": reference_id(document.get("schedule")),
        "currency": document["currency"],
        "unit_amount": price.get("unit_amount"),
        "quantity": (plan_item or {}).get("quantity") or 1,
        "discounts": [discount_fields(each) for each in document.get("discounts") or [] if isinstance(each, Mapping)],
        "started_at": to_datetime(document["start_date"]),
        "current_period_start": to_datetime(plan_item["current_period_start"]) if plan_item else None,
        "current_period_end": to_datetime(plan_item["current_period_end"]) if plan_item else None,
        "anchor": at(usage_anchor(document, invoices)),
        "trial_start": to_datetime(document["trial_start"]),
        "trial_end": to_datetime(document["trial_end"]),
        "cancel_at": to_datetime(document["cancel_at"]),
        "canceled_at": to_datetime(document["canceled_at"]),
        "ended_at": to_datetime(document["ended_at"]),
        "collection_paused": (document.get("pause_collection") or {}).get("behavior", ""),
        "collection_resumes_at": to_datetime((document.get("pause_collection") or {}).get("resumes_at")),
        "past_due_since": since,
        "grace_until": since + grace if since else None,
        "upcoming_change": upcoming_change(document, prices),
        "pending_change": pending_change(document, invoices, prices),
        "latest_invoice_id": reference_id(document.get("latest_invoice")),
    }


def last_plan(document: Document, invoices: Iterable[Document], prices: Prices) -> KnownPrice | None:
    """Return the plan that a subscription was last billed for. It is used if the current price is not registered (ADR-012)."""
    known = None
    latest = -1
    for invoice in invoices:
        for line in invoice["lines"]["data"] if subscription_of(invoice) == document["id"] else ():
            details = (line.get("pricing") or {}).get("price_details") or {}
            price = prices.get(reference_id(details.get("price")))
            if price is not None and price.interval != "overage" and _is_regular(line) and line["period"]["start"] > latest:
                known, latest = price, line["period"]["start"]
    return known


def usage_anchor(document: Document, invoices: Iterable[Document]) -> int:
    """Return the start of the first usage month (Unix seconds): the start of the first billed period.

    It is read from the invoices, because the subscription's fields change: `billing_cycle_anchor` with the interval, `trial_end` when staff
    add free days. Before the first billed period it is the original end of the trial, so that extending a trial does not reset its usage.
    """
    lines = [(invoice, line) for invoice in invoices if subscription_of(invoice) == document["id"] for line in invoice["lines"]["data"]]
    regular = [(invoice, line) for invoice, line in lines if _is_regular(line)]
    billed = [line["period"]["start"] for _, line in regular if line["amount"] > 0]
    if billed:
        return int(min(billed))
    if document["trial_start"] is None:
        return int(document["start_date"])
    agreed = [line["period"]["end"] for invoice, line in regular if invoice["billing_reason"] == "subscription_create"]
    return int(min(agreed, default=document["trial_end"]))


def _is_regular(line: Document) -> bool:
    """Return whether an invoice line bills a regular period of a subscription item, and is not a proration."""
    details = (line.get("parent") or {}).get("subscription_item_details")
    return details is not None and not details["proration"]


def is_ours(document: Document, prices: Container[str], products: Container[str]) -> bool:
    """Return whether a subscription has a registered price, or a price of a product that has registered prices.

    A customer may have other subscriptions, such as a support contract that was created in the dashboard. These grant nothing, and this
    product never changes or cancels them.
    """
    priced = (item["price"] for item in document["items"]["data"])
    return any(price["id"] in prices or reference_id(price.get("product")) in products for price in priced)


def plan_and_overage(document: Document, prices: Prices) -> tuple[Document | None, Document | None]:
    """Return the plan's item and the overage item.

    Items with registered prices have precedence over items that were added in the dashboard. Other metered items are ignored.
    """
    items = document["items"]["data"]
    own_items = [item for item in items if item["price"]["id"] in prices]
    plan = next((item for item in [*own_items, *items] if not _metered(item)), None)
    return plan, next(filter(_metered, own_items), None)


def _metered(item: Document) -> bool:
    return (item["price"].get("recurring") or {}).get("usage_type") == "metered"


def discount_fields(discount: Document) -> dict[str, Any]:
    """Return the stored fields of a discount. Without its coupon expanded, only the coupon's id is known."""
    coupon = (discount.get("source") or {}).get("coupon") or {}
    coupon = coupon if isinstance(coupon, Mapping) else {"id": coupon}
    promotion = discount.get("promotion_code")
    return {
        "id": discount["id"],
        "coupon": coupon.get("id"),
        "code": promotion.get("code") if isinstance(promotion, Mapping) else None,
        "name": coupon.get("name"),
        "percent_off": coupon.get("percent_off"),
        "amount_off": coupon.get("amount_off"),
        "currency": coupon.get("currency"),
        "duration": coupon.get("duration"),
        "end": discount.get("end"),
    }


def upcoming_change(document: Document, prices: Prices) -> dict[str, Any] | None:
    """Return the plan change of the subscription's active schedule, or None."""
    schedule = document.get("schedule")
    if not isinstance(schedule, Mapping) or schedule["status"] != "active" or not schedule.get("current_phase"):
        return None
    plan_item, _ = plan_and_overage(document, prices)
    boundary = schedule["current_phase"]["end_date"]
    for phase in schedule["phases"]:
        if phase["start_date"] < boundary:
            continue
        for item in phase["items"]:
            known = prices.get(reference_id(item["price"]))
            if known and known.interval != "overage" and (not plan_item or reference_id(item["price"]) != plan_item["price"]["id"]):
                return {
                    "plan": known.plan,
                    "version": known.version,
                    "interval": known.interval,
                    "amount": known.amount * (item.get("quantity") or 1),
                    "at": phase["start_date"],
                }
    return None


def pending_change(document: Document, invoices: Iterable[Document], prices: Prices) -> dict[str, Any] | None:
    """Return the plan change that waits for payment confirmation: Stripe's pending update and its open invoice; or None."""
    update = document.get("pending_update")
    if not update:
        return None
    plan_item, _ = plan_and_overage(document, prices)
    price_ids = [reference_id(item["price"]) for item in update.get("subscription_items") or []]
    price = next(
        (each for each in price_ids if each in prices and prices[each].interval != "overage"), plan_item and plan_item["price"]["id"]
    )
    known = prices.get(price or "")
    latest = reference_id(document.get("latest_invoice"))
    invoice = next((each for each in invoices if each["id"] == latest and each["status"] == "open"), None)
    return {
        "plan": known.plan if known else "",
        "interval": known.interval if known else None,
        "price": price,
        "invoice": latest,
        "amount": invoice["amount_remaining"] if invoice else None,
        "url": (invoice or {}).get("hosted_invoice_url") or "",
        "expires_at": update["expires_at"],
    }


def invoice_fields(document: Document, refunded: int, failed_at: int | None, payments: str) -> dict[str, Any]:
    """Return the columns of `Invoice` for an invoice. `refunded` is in minor units, `failed_at` in Unix seconds."""
    times = document["status_transitions"]
    return {
        "stripe_subscription_id": subscription_of(document),
        "payment_ids": payments,
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
        "amount_refunded": refunded,
        "attempt_count": document["attempt_count"],
        "attempted": document["attempted"],
        "failed_at": to_datetime(failed_at),
        "next_payment_attempt": to_datetime(document["next_payment_attempt"]),
        "period_start": to_datetime(document["period_start"]),
        "period_end": to_datetime(document["period_end"]),
        "created_at": to_datetime(document["created"]),
        "due_at": to_datetime(document["due_date"]),
        "finalized_at": to_datetime(times["finalized_at"]),
        "paid_at": to_datetime(times["paid_at"]),
        "lines": [line_fields(line) for line in document["lines"]["data"]],
        "hosted_url": document.get("hosted_invoice_url") or "",
        "pdf_url": document.get("invoice_pdf") or "",
    }


def line_fields(line: Document) -> dict[str, Any]:
    """Return the stored fields of an invoice line. Times are Unix seconds, the amount is in minor units."""
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
