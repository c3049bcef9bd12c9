"""What a refund of everything, or a lost dispute, means for the subscription: `BILLING_REFUND_POLICY`. Pure."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings

KEEP, CANCEL = "keep", "cancel"


def breach(subscriptions: Sequence[dict[str, Any]], charges: Sequence[dict[str, Any]], disputes: Sequence[dict[str, Any]]) -> str:
    """Why the policy calls for an end: a lost dispute, or the newest payment refunded in full. Empty where it does not.

    What was paid before the subscription that runs now is another story.
    """
    live = [each["start_date"] for each in subscriptions if not each["ended_at"]]
    if settings.BILLING_REFUND_POLICY != CANCEL or not live:
        return ""
    paid = {charge["id"]: charge for charge in charges if charge["paid"] and charge["created"] >= min(live)}
    if any(dispute["status"] == "lost" and dispute["charge"] in paid for dispute in disputes):
        return "dispute_lost"
    newest = max(paid.values(), key=lambda charge: charge["created"], default=None)
    return "refunded" if newest and newest["refunded"] else ""
