"""A new card pays what the old one did not, at once: nobody waits for Stripe's next try."""

from __future__ import annotations

import structlog

from billing.errors import PaymentRequired, StripeRejected
from billing.gateway import invoices
from billing.models import BillingAccount

from .sync import sync_customer

log = structlog.get_logger(__name__)


def pay_open_invoices(customer_id: str, card_id: str) -> int:
    """Pay for what still runs with the card that is the default now. Returns how many invoices were paid.

    What is owed for a subscription that is over stays with staff: nobody who comes back expects to be charged for it.
    The key says what is meant: this invoice by this card, once. The same card is not tried again from here.
    """
    account = BillingAccount.objects.select_related("organization").filter(stripe_customer_id=customer_id).first()
    if account is None or (account.payment_method or {}).get("id") != card_id:
        return 0
    paid = 0
    live = account.organization.subscriptions.live().filter(stripe_customer_id=customer_id).values("stripe_subscription_id")
    owed = account.organization.invoices.filter(status="open", attempted=True, amount_remaining__gt=0, stripe_subscription_id__in=live)
    for invoice in owed:
        try:
            invoices.pay(invoice.stripe_invoice_id, key=f"pay-{invoice.stripe_invoice_id}-{card_id}")
        except (PaymentRequired, StripeRejected) as error:
            log.info("billing.recovery_failed", invoice=invoice.stripe_invoice_id, error=type(error).__name__)
        else:
            paid += 1
    sync_customer(customer_id)
    return paid
