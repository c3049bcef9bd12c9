"""The façade: what an organization pays, and how it changes that."""

from __future__ import annotations

from django.conf import settings

from accounts.models import Organization

from .gateway.client import is_configured
from .services import checkout, customers, overview
from .services.actions import Actor
from .services.sync import sync_customer
from .types import CheckoutSession, Subscription, SyncResult


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

    def sync(self) -> SyncResult:
        """Look at Stripe now. `NoCustomer`."""
        return sync_customer(str(customers.existing(self.organization).stripe_customer_id))
