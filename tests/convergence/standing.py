"""Who is entitled to what, read from Stripe's own objects and the rule in the design, not from anything of the product's."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from tests.convergence.scene import Party, Scene
from tests.support.stripe import DAY

RANKS = ("free", "pro", "enterprise")


def plan(scene: Scene, party: Party) -> str:
    """Trialing and active subscriptions entitle; past_due ones until the grace period after the first failed payment; no other."""
    if scene.deleted(party):
        return "free"
    names = {price: name for (name, interval), price in scene.prices.items() if interval != "overage"}
    held = ["free"]
    for subscription in scene.subscriptions(party):
        if _entitles(scene, party, subscription):
            held += [names[item.price.id] for item in subscription["items"].data if item.price.id in names]
    return max(held, key=RANKS.index)


def _entitles(scene: Scene, party: Party, subscription: Any) -> bool:
    if subscription.status in ("trialing", "active"):
        return True
    if subscription.status != "past_due":
        return False
    return scene.now(party) < _first_failure(scene, party, subscription) + settings.BILLING_GRACE_DAYS * DAY


def _first_failure(scene: Scene, party: Party, subscription: Any) -> int:
    """By the charges: when the card was first declined for a bill that is still open, since the last one that was paid."""
    failed = [charge for charge in scene.charges(party) if charge.status == "failed"]
    moments: list[int] = []
    for invoice in reversed(scene.invoices(party)):
        details = invoice.parent and invoice.parent.subscription_details
        if not details or details.subscription != subscription.id:
            continue
        if invoice.status == "paid":
            moments = []
        elif invoice.status in ("open", "uncollectible") and invoice.attempted:
            payments = scene.sdk.invoice_payments.list({"invoice": invoice.id}).data
            intents = {each.payment.payment_intent for each in payments}
            # Nothing to charge where there was no card: the attempt was at finalization.
            moments += [charge.created for charge in failed if charge.payment_intent in intents] or [
                invoice.status_transitions.finalized_at
            ]
    return min(moments, default=subscription["items"].data[0].current_period_start)
