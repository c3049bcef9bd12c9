"""Factories of paying organizations at the simulator."""

from dataclasses import dataclass
from typing import Any

from accounts.models import Organization
from billing import customers
from billing.models import BillingAccount, PlanPrice, SubscriptionState
from entitlements.manager import EntitlementsManager
from tests.support.stripe import Stripe

DECLINES = "pm_card_chargeCustomerFail"


def price_of(plan: str = "pro", interval: str = "month") -> str:
    """Return the current price of a plan."""
    rows = PlanPrice.objects.filter(plan_version__plan=plan, interval=interval, current=True)
    return rows.latest("plan_version__version").stripe_price_id


def plan_of(organization: Organization) -> str:
    organization.refresh_from_db()
    return EntitlementsManager(organization).entitlements().plan


@dataclass
class Payer:
    """An organization with a customer, a payment method and a test clock."""

    world: Stripe
    organization: Organization
    customer: str
    clock: str

    @classmethod
    def make(cls, world: Stripe, organization: Organization, *, clock: bool = True) -> "Payer":
        customer = customers.ensure_customer(organization, None).stripe_customer_id
        assert customer
        world.card(customer)
        return cls(world, organization, customer, world.attach_test_clock(customer) if clock else "")

    def buy(self, plan: str = "pro", interval: str = "month", **more: Any) -> Any:
        subscription = self.world.subscribe(self.customer, price_of(plan, interval), **more)
        self.world.deliver()
        self.organization.refresh_from_db()
        return subscription

    def later(self, days: float) -> None:
        """Advance the test clock by `days` and process its events."""
        self.world.advance(self.clock, days=days)
        self.world.deliver()
        self.organization.refresh_from_db()

    def declines(self) -> None:
        """Make all further charges fail."""
        self.world.card(self.customer, DECLINES)

    def no_cards(self) -> None:
        for card in self.world.sdk.payment_methods.list({"customer": self.customer}).data:
            self.world.sdk.payment_methods.detach(card.id)

    @property
    def account(self) -> BillingAccount:
        return BillingAccount.objects.get(organization=self.organization)

    @property
    def state(self) -> SubscriptionState:
        return SubscriptionState.objects.get(organization=self.organization)

    @property
    def plan(self) -> str:
        return plan_of(self.organization)
