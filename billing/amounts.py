"""Amounts of future charges, from Stripe's invoice preview, or estimated from local tables if Stripe does not answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import structlog

from billing.catalog import prices
from billing.documents.stripe_documents import Prices, at, reference_id, to_datetime
from billing.errors import BillingNotConfigured, NoUpcomingInvoice, StripeRejected, StripeUnavailable
from billing.models import SubscriptionState
from billing.stripe.gateway import invoices
from billing.types import NextPayment

log = structlog.get_logger(__name__)
EXCLUSIVE = "exclusive"  # Stripe's tax behavior for tax that is added to a line's amount


def next_payment(state: SubscriptionState) -> NextPayment | None:
    """Return the next invoice of a subscription; None if the subscription ends before it, or if nothing is collected.

    Stripe's preview includes quantity, discounts, tax, overage so far, a scheduled change and credit. It may be the invoice of another item
    of the subscription that is billed before the plan. If Stripe does not answer, the plan's price after discounts is returned and
    `exact` is False.
    """
    # Stripe continues to create invoices for an unpaid subscription, but does not collect them automatically.
    if not state.is_live or state.current_period_end is None or state.status in ("paused", "incomplete", "unpaid"):
        return None
    when = state.trial_end if state.status == "trialing" and state.trial_end else state.current_period_end
    if state.cancel_at and state.cancel_at <= when:
        return None
    payment = _preview_payment(state, when)
    return payment if payment and _is_collected(state, payment.at) else None


def _preview_payment(state: SubscriptionState, when: datetime) -> NextPayment | None:
    try:
        document = invoices.preview(customer=state.stripe_customer_id, subscription=state.stripe_subscription_id)
    except NoUpcomingInvoice:
        return None
    except (StripeUnavailable, StripeRejected, BillingNotConfigured) as error:
        log.info("billing.preview_failed", subscription=state.stripe_subscription_id, reason=type(error).__name__)
        amount = estimated_total(state, when)
        return None if amount is None else NextPayment(amount=amount, currency=state.currency, at=when, exact=False)
    return NextPayment(
        amount=document["amount_due"],
        currency=document["currency"],
        at=at(document["period_end"]),
        discount=sum(each["amount"] for each in document["total_discount_amounts"] or []),
        tax=sum(each["amount"] for each in document["total_taxes"] or []),
        regular=regular(document, prices.price_index()),
    )


def _is_collected(state: SubscriptionState, when: datetime) -> bool:
    """Return whether payments are collected at `when`: collection is not paused, or resumes by then."""
    return not state.collection_paused or (state.collection_resumes_at is not None and state.collection_resumes_at <= when)


def regular(document: Mapping[str, Any], known: Prices) -> int:
    """Return the plan's part of an invoice with discounts and tax, in minor units, without prorations, overage and one-time items."""
    return sum(_net(line) for line in document["lines"]["data"] if _is_regular(line, known))


def _is_regular(line: Mapping[str, Any], known: Prices) -> bool:
    details = (line.get("parent") or {}).get("subscription_item_details")
    if not details or details.get("proration"):
        return False
    price = known.get(reference_id(((line.get("pricing") or {}).get("price_details") or {}).get("price")))
    return price is None or price.interval != "overage"


def _net(line: Mapping[str, Any]) -> int:
    discount = sum(each["amount"] for each in line.get("discount_amounts") or [])
    tax = sum(each["amount"] for each in line.get("taxes") or [] if each.get("tax_behavior") == EXCLUSIVE)
    return int(line["amount"] - discount + tax)


def estimated_total(state: SubscriptionState, when: datetime | None) -> int | None:
    """Return the price of an interval that starts at `when`, after the discounts that apply then, before tax, in minor units."""
    return None if state.amount is None else after_discounts(state.amount, state.discounts, state.currency, when)


def after_discounts(amount: int, discounts: Iterable[Mapping[str, Any]], currency: str, when: datetime | None) -> int:
    """Return an amount after the discounts of `SubscriptionState.discounts`, applied in their order as Stripe does."""
    for discount in discounts:
        end = to_datetime(discount.get("end"))
        if end and when and end <= when:
            continue
        if discount.get("percent_off"):
            off = Decimal(amount) * Decimal(str(discount["percent_off"])) / 100
            amount -= int(off.quantize(Decimal(1), ROUND_HALF_UP))
        elif discount.get("amount_off") and discount.get("currency") == currency:
            amount -= min(amount, discount["amount_off"])
    return amount


def discounts_of_preview(discounts: Iterable[Mapping[str, Any]], when: datetime | None) -> list[dict[str, str]]:
    """Return the discounts that apply at `when`, as parameters of an invoice preview."""
    return [{"discount": each["id"]} for each in discounts if each.get("end") is None or when is None or at(each["end"]) > when]
