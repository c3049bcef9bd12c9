"""The façade: what an organization pays, and how it changes that."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db.models import QuerySet

from accounts.models import Organization

from .gateway.client import is_configured
from .models import Invoice
from .services import change, checkout, customers, limits, overage, overview, preview
from .services.actions import Actor
from .services.sync import sync_customer
from .types import ChangePreview, CheckoutSession, DunningState, OverageState, OverLimit, Subscription, SyncResult


class BillingManager:
    """Everything about what one organization pays. Reading needs no Stripe; whatever changes raises `BillingNotConfigured` without a key,
    and `StripeUnavailable` while Stripe does not answer."""

    def __init__(self, organization: Organization) -> None:
        self.organization = organization

    @staticmethod
    def is_configured() -> bool:
        """Whether anything can be bought here."""
        return is_configured()

    def subscription(self) -> Subscription:
        """What it has now, from our own tables."""
        return overview.subscription(self.organization)

    def create_checkout(self, plan: str, interval: str, promotion_code: str = "", actor: Actor = None) -> CheckoutSession:
        """Where to pay. `AlreadySubscribed`, `PlanNotSold`, `UnknownPromotionCode`."""
        return checkout.begin(self.organization, plan, interval, promotion_code, actor)

    def return_from_checkout(self, session_id: str) -> bool:
        """Called by the page that Checkout returns to; whether the session was paid. `UnknownSession` if it is none of ours."""
        return checkout.returned(self.organization, session_id)

    def create_portal(self, actor: Actor = None, return_url: str = "") -> str:
        """The address of Stripe's portal for it. `NoCustomer` where there is nothing to manage yet."""
        return customers.portal(self.organization, actor, return_url or f"{settings.PUBLIC_URL}/account/billing/")

    def preview_change(self, plan: str, interval: str) -> ChangePreview:
        """What a change would cost. `NoSubscription`, `NothingToChange`, `PlanNotSold`, `CancellationPending`, `PaymentRequired`."""
        return preview.preview(self.organization, plan, interval)

    def change_plan(self, plan: str, interval: str, proration_date: datetime | None = None, actor: Actor = None) -> Subscription:
        """Upgrade at once, downgrade at period end; as `preview_change` said, with its `proration_date` to the cent.

        Besides its refusals, `PreviewExpired`; `PaymentRequired` where the card was declined, and then nothing changed.
        """
        change.change(self.organization, plan, interval, proration_date, actor)
        return self._fresh()

    def keep_plan(self, actor: Actor = None) -> Subscription:
        """Take an upcoming plan change back. `NothingToChange`."""
        change.keep_plan(self.organization, actor)
        return self._fresh()

    def cancel(self, actor: Actor = None, *, at_once: bool = False) -> Subscription:
        """End it when what is paid for is over, or now. `NoSubscription`, `NothingToChange`."""
        change.cancel(self.organization, actor, at_once=at_once)
        return self._fresh()

    def resume(self, actor: Actor = None) -> Subscription:
        """Take a pending cancellation back, or wake a paused subscription. `NoSubscription`, `NothingToChange`."""
        change.resume(self.organization, actor)
        return self._fresh()

    def invoices(self) -> QuerySet[Invoice]:
        """Those that were sent, the newest first: a draft may still change."""
        return self.organization.invoices.exclude(status="draft")

    def dunning(self) -> DunningState | None:
        """For the banner: that a payment is missing, and until when access goes on. None when all is well."""
        return overview.dunning(self.organization)

    def over_limits(self) -> tuple[OverLimit, ...]:
        """What is in use beyond the present plan: read-only, not deleted."""
        return limits.over_now(self.organization)

    def set_overage(self, *, enabled: bool, cap: int | None, actor: Actor = None) -> OverageState:
        """Sell units beyond the allowance up to `cap` a month (minor units), or stop. `NoSubscription`, `OverageNotSold`."""
        return overage.set_overage(self.organization, enabled=enabled, cap=cap, actor=actor)

    def sync(self) -> SyncResult:
        """Look at Stripe now. `NoCustomer`."""
        return sync_customer(str(customers.existing(self.organization).stripe_customer_id))

    def _fresh(self) -> Subscription:
        self.organization.refresh_from_db()
        return self.subscription()
