"""Calculate who is entitled to what from Stripe's objects and the rules of the design, without the product's code."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from tests.convergence.stripe_fixture import Scenario, Tenant
from tests.support.stripe import DAY

RANKS = ("free", "pro", "enterprise")


def plan(scenario: Scenario, tenant: Tenant) -> str:
    """Trialing and active subscriptions entitle, and past_due ones until the end of the grace period. Others do not.

    Grants by staff count for their duration. Of several plans, the highest applies.
    """
    held = ["free", *(gift.plan for gift in tenant.gifts.values() if gift.is_active(scenario.moment(tenant)))]
    for subscription in [] if scenario.deleted(tenant) else scenario.subscriptions(tenant):
        if _entitles(scenario, tenant, subscription):
            held += [scenario.plans[item.price.id] for item in subscription["items"].data if item.price.id in scenario.plans]
    return max(held, key=RANKS.index)


def _entitles(scenario: Scenario, tenant: Tenant, subscription: Any) -> bool:
    if subscription.status in ("trialing", "active"):
        return True
    if subscription.status != "past_due":
        return False
    return scenario.now(tenant) < _first_failure(scenario, tenant, subscription) + settings.BILLING_GRACE_DAYS * DAY


def _first_failure(scenario: Scenario, tenant: Tenant, subscription: Any) -> int:
    """Return from the charges when a payment of a still open invoice first failed, after the last one that was paid.

    A debit fails when the bank returns it, not when it is initiated; a pending debit has not failed.
    """
    charges = scenario.charges(tenant)
    moments: list[int] = []
    for invoice in reversed(scenario.invoices(tenant)):
        details = invoice.parent and invoice.parent.subscription_details
        if not details or details.subscription != subscription.id:
            continue
        if invoice.status == "paid":
            moments = []
        elif invoice.status in ("open", "uncollectible") and invoice.attempted:
            payments = scenario.sdk.invoice_payments.list({"invoice": invoice.id}).data
            intents = {each.payment.payment_intent for each in payments}
            tried = [charge for charge in charges if charge.payment_intent in intents]
            # Without a payment method there was no charge: the attempt was at finalization.
            moments += [_failed_at(charge) for charge in tried if charge.status == "failed"]
            moments += [] if tried else [invoice.status_transitions.finalized_at]
    return min(moments, default=subscription["items"].data[0].current_period_start)


def _failed_at(charge: Any) -> int:
    reversal = charge.failure_balance_transaction
    return int(reversal.created if reversal else charge.created)
