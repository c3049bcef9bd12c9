"""Stripe's side of the tour, through the SDK: test clocks and events."""

import time
from datetime import UTC, datetime

import httpx
import stripe

from .report import eventually

HOUR = 3600
DAY = 24 * HOUR


class StripeSide:
    """Operations on Stripe's test mode, as a vendor's engineer would use them."""

    def __init__(self, base: str, secret_key: str) -> None:
        self.base = base
        self.stripe = stripe.StripeClient(secret_key, base_addresses={"api": base})
        self.clock = ""
        self.customer = ""

    def attach_test_clock(self, customer: str) -> str:
        """Attach the customer to a test clock that starts now."""
        self.customer = customer
        clock = self.stripe.v1.test_helpers.test_clocks.create({"frozen_time": int(time.time()), "name": "The tour"})
        self.clock = clock.id
        httpx.post(f"{self.base}/_sim/customers/{customer}/clock", json={"test_clock": clock.id}).raise_for_status()
        return self.clock

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.stripe.v1.test_helpers.test_clocks.retrieve(self.clock).frozen_time, UTC)

    def advance_to(self, moment: int) -> datetime:
        """Advance the clock and wait until Stripe has processed everything that is due."""
        clocks = self.stripe.v1.test_helpers.test_clocks
        clocks.advance(self.clock, {"frozen_time": moment})
        eventually(lambda: clocks.retrieve(self.clock).status == "ready", what="the test clock has advanced")
        return datetime.fromtimestamp(moment, UTC)

    def advance(self, seconds: int) -> datetime:
        return self.advance_to(int(self.now.timestamp()) + seconds)

    def invoices(self) -> list[stripe.Invoice]:
        """Return the invoices of the customer, newest first."""
        return self.stripe.v1.invoices.list({"customer": self.customer, "limit": 20}).data

    def subscription(self) -> stripe.Subscription:
        return self.stripe.v1.subscriptions.list({"customer": self.customer, "status": "all", "limit": 1}).data[0]
