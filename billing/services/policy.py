"""What a refund of everything, or a lost dispute, means for the subscription: `BILLING_REFUND_POLICY`. Pure."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings

from .projection import paid_by, subscription_of

KEEP, CANCEL = "keep", "cancel"


Documents = Sequence[dict[str, Any]]


def breach(subscriptions: Documents, invoices: Documents, charges: Documents, disputes: Documents) -> str:
    """Why the policy calls for an end: a lost dispute, or the newest payment refunded in full. Empty where it does not.

    What was paid for another subscription than the one that runs now is another story. The time of a payment does not tell: Checkout
    makes the subscription after it.
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
