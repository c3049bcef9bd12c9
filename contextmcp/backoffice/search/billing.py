"""Search by Stripe ID, by invoice number and by the last digits of a card.

Rows that are found by an ID are not sorted: to return them in order, Postgres might scan the index of that order and skip millions of rows.
"""

from collections.abc import Iterable

from django.db.models import Q, QuerySet

from billing.models import (
    Adjustment,
    BillingAccount,
    CheckoutAttempt,
    Invoice,
    SubscriptionState,
    WebhookEvent,
)
from billing.models.account import CARD_DIGITS
from billing.stripe.mirror import read
from contextmcp.common.money import format_amount
from contextmcp.common.text import words

from .query import Query
from .results import Hit, Resolver, organization_hit, row_hit


def _has_prefix(query: Query, *prefixes: str) -> bool:
    return query.stripe_id.startswith(tuple(f"{prefix}_" for prefix in prefixes))


def _customers(query: Query, start: int, stop: int) -> Iterable[Hit]:
    if not _has_prefix(query, "cus"):
        return
    for account in BillingAccount.objects.select_related("organization").filter(stripe_customer_id=query.stripe_id)[start:stop]:
        yield organization_hit(account.organization, str(account))


def _subscriptions(query: Query, start: int, stop: int) -> Iterable[Hit]:
    if not _has_prefix(query, "sub"):
        return
    for row in SubscriptionState.objects.select_related("organization").filter(stripe_subscription_id=query.stripe_id)[start:stop]:
        yield row_hit(row, row.stripe_subscription_id, str(row.organization), row.status)


def _invoices(query: Query, start: int, stop: int) -> Iterable[Hit]:
    rows = _invoices_by_id(query)
    for row in rows.select_related("organization").order_by()[start:stop] if rows is not None else ():
        yield row_hit(row, str(row), str(row.organization), format_amount(row.total, row.currency), row.status)


def _invoices_by_id(query: Query) -> QuerySet[Invoice] | None:
    if _has_prefix(query, "in"):
        return Invoice.objects.filter(stripe_invoice_id=query.stripe_id)
    if _has_prefix(query, "pi", "ch", "py"):
        return Invoice.objects.filter(payment_ids__has_word=query.stripe_id)
    if query.invoice_number:
        return Invoice.objects.filter(number__istartswith=query.invoice_number)
    return None


def _adjustments(query: Query, start: int, stop: int) -> Iterable[Hit]:
    if not query.stripe_id:
        return
    found = Q(stripe_id=query.stripe_id) | Q(stripe_charge_id=query.stripe_id) | Q(stripe_payment_intent_id=query.stripe_id)
    for row in Adjustment.objects.select_related("organization").filter(found).order_by()[start:stop]:
        yield row_hit(row, str(row), str(row.organization), format_amount(row.amount, row.currency), row.status)


def _sessions(query: Query, start: int, stop: int) -> Iterable[Hit]:
    if not _has_prefix(query, "cs"):
        return
    for row in CheckoutAttempt.objects.select_related("organization").filter(session_id=query.stripe_id)[start:stop]:
        yield row_hit(row, str(row), str(row.organization))


def _events(query: Query, start: int, stop: int) -> Iterable[Hit]:
    if not _has_prefix(query, "evt"):
        return
    for row in WebhookEvent.objects.filter(event_id=query.stripe_id)[start:stop]:
        yield row_hit(row, str(row), row.state)


def _cards(query: Query, start: int, stop: int) -> Iterable[Hit]:
    """Yield the organizations whose default payment method, or another stored one, ends in the digits."""
    if query.card is None:
        return
    brand, last4 = query.card
    stored = read.customers_by_digits(last4, brand)
    default = Q(digits=last4, payment_method__brand__iexact=brand) if brand else Q(digits=last4)
    rows = BillingAccount.objects.alias(digits=CARD_DIGITS).filter(default | Q(stripe_customer_id__in=stored))
    for account in rows.select_related("organization").order_by("-id")[start:stop]:
        card = account.payment_method or {}
        is_default = card.get("last4") == last4 and (not brand or str(card.get("brand")).lower() == brand)
        name = str(card.get("brand") or "card") if is_default else words(stored.get(account.stripe_customer_id or "", "card"))
        note = "" if is_default else ", not the default"
        yield organization_hit(account.organization, f"{name.title()} ending in {last4}{note}")


RESOLVERS = [
    Resolver("customers", "Stripe customers", "billing.view_billingaccount", _customers),
    Resolver("subscriptions", "Subscriptions", "billing.view_subscriptionstate", _subscriptions),
    Resolver("invoices", "Invoices", "billing.view_invoice", _invoices),
    Resolver("adjustments", "Refunds, disputes and credit notes", "billing.view_adjustment", _adjustments),
    Resolver("sessions", "Checkout sessions", "billing.view_checkoutattempt", _sessions),
    Resolver("events", "Stripe events", "billing.view_webhookevent", _events),
    Resolver("cards", "Cards", "billing.view_billingaccount", _cards),
]
