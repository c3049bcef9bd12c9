"""The refund policy (`BILLING_REFUND_POLICY`): whether a full refund or a lost dispute cancels the subscription. Pure."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings

from billing.documents.stripe_documents import paid_by, subscription_of

KEEP, CANCEL = "keep", "cancel"


Documents = Sequence[dict[str, Any]]


def cancellation_reason(subscriptions: Documents, invoices: Documents, charges: Documents, disputes: Documents) -> str:
    """Return "dispute_lost" or "refunded" (newest payment refunded in full) if the policy requires a cancellation; empty otherwise.

    Only payments of live subscriptions count. They are matched by their invoice and not by time, because Checkout creates the subscription
    after the payment.
    """
    live = {each["id"] for each in subscriptions if not each["ended_at"]}
    if settings.BILLING_REFUND_POLICY != CANCEL or not live:
        return ""
    intents = {intent for intent, invoice in paid_by(invoices).items() if subscription_of(invoice) in live}
    paid = {charge["id"]: charge for charge in charges if charge["paid"] and charge["payment_intent"] in intents}
    if any(dispute["status"] == "lost" and dispute["charge"] in paid for dispute in disputes):
        return "dispute_lost"
    newest = max(paid.values(), key=lambda charge: charge["created"], default=None)
    return "refunded" if newest and newest["refunded"] else ""
