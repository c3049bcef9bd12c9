"""Recovery after a failed payment: draft invoices of unpaid subscriptions are finalized, and a new payment method pays open invoices."""

from __future__ import annotations

import structlog
from django.db.models import Q

from accounts.models import Organization
from billing import operator_alerts
from billing.customer_locks import serialized
from billing.errors import PaymentRequired, StripeRejected
from billing.idempotent_actions import idempotent_action
from billing.models import BillingAccount, BillingAction, Invoice, SubscriptionState
from billing.stripe.gateway import invoices
from billing.sync.customer import sync_customer

log = structlog.get_logger(__name__)
FINALIZE = "finalize_invoice"


def finalize_unpaid(customer_id: str) -> None:
    """Finalize the latest invoice of each unpaid subscription of a customer, so that it can be paid."""
    account = BillingAccount.objects.select_related("organization").filter(stripe_customer_id=customer_id).first()
    if account is not None:
        with serialized(account.organization_id):
            finalize_latest(account.organization)


def finalize_latest(organization: Organization) -> None:
    """Finalize the latest invoice of each unpaid subscription if it is a draft. Call it within `serialized`.

    For an unpaid subscription Stripe creates drafts, which customers cannot see or pay. The subscription becomes active again only when
    the latest invoice is paid.
    """
    for state in organization.subscriptions.filter(status="unpaid"):
        draft = organization.invoices.filter(stripe_invoice_id=state.latest_invoice_id, status="draft").first()
        if draft is None:
            continue
        try:
            with idempotent_action(organization, FINALIZE, None, invoice=draft.stripe_invoice_id) as row:
                invoices.finalize(draft.stripe_invoice_id, key=row.pk)
            _void_earlier(state)
        except StripeRejected as error:
            # The next sync retries the finalization. A sync here would repeat it endlessly.
            log.error("billing.finalize_failed", invoice=draft.stripe_invoice_id, error=str(error))
            operator_alerts.alert_operator(error, organization)
        else:
            sync_customer(state.stripe_customer_id)


def _void_earlier(state: SubscriptionState) -> None:
    """Void unpaid invoices of earlier periods that were finalized here. The customer had no access then, so nothing is owed."""
    actions = BillingAction.objects.filter(organization=state.organization, kind=FINALIZE, state=BillingAction.State.DONE)
    finalized = list(actions.values_list("parameters__invoice", flat=True))
    earlier = Invoice.objects.filter(stripe_subscription_id=state.stripe_subscription_id, stripe_invoice_id__in=finalized, status="open")
    for invoice in earlier.exclude(stripe_invoice_id=state.latest_invoice_id):
        with idempotent_action(state.organization, "void_invoice", None, invoice=invoice.stripe_invoice_id) as row:
            invoices.void(invoice.stripe_invoice_id, key=row.pk)


def pay_open_invoices(customer_id: str, card_id: str) -> int:
    """Pay the open invoices of live subscriptions with the current default payment method. Returns the number of invoices paid.

    Invoices of ended subscriptions are left to staff, because a returning customer does not expect to be charged for them. An invoice of a
    change that waits for confirmation is only paid by the customer on its payment page. The idempotency key contains the invoice and the
    payment method, so that each payment method is tried once per invoice.
    """
    account = BillingAccount.objects.select_related("organization").filter(stripe_customer_id=customer_id).first()
    if account is None or (account.payment_method or {}).get("id") != card_id:
        return 0
    with serialized(account.organization_id):
        finalize_latest(account.organization)
    paid = 0
    for invoice in account.organization.invoices.filter(_uncollected_invoices(account), status="open", amount_remaining__gt=0):
        try:
            invoices.pay(invoice.stripe_invoice_id, key=f"pay-{invoice.stripe_invoice_id}-{card_id}")
        except (PaymentRequired, StripeRejected) as error:
            log.info("billing.invoice_payment_failed", invoice=invoice.stripe_invoice_id, error=type(error).__name__)
            operator_alerts.alert_operator(error, account.organization)
        else:
            paid += 1
    sync_customer(customer_id)
    return paid


def _uncollected_invoices(account: BillingAccount) -> Q:
    """Return the filter for invoices whose payment failed, and for the latest invoice of unpaid subscriptions, which is never attempted.

    Invoices of plan changes that wait for the customer's confirmation are excluded.
    """
    live = account.organization.subscriptions.live().filter(stripe_customer_id=account.stripe_customer_id)
    confirming = [state.pending_change["invoice"] for state in live if state.pending_change]
    tried = Q(attempted=True, stripe_subscription_id__in=live.values("stripe_subscription_id")) & ~Q(stripe_invoice_id__in=confirming)
    return tried | Q(stripe_invoice_id__in=live.filter(status="unpaid").values("latest_invoice_id"))
