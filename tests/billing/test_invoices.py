"""Invoices as the API lists them, with discounts."""

import pytest

from billing.manager import BillingManager
from billing.models import Invoice
from tests.support.api import problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(stripe_world):
    return stripe_world


class TestInvoices:
    PATH = "/api/billing/invoices"

    def test_invoices_are_paginated_newest_first(self, world, api, owner, admin, member, stranger, subscribed, clock):
        subscribed()
        world.advance(clock, days=31.2)
        world.deliver()
        page = api.get(f"{self.PATH}?limit=1", by=owner).json()
        assert len(page["data"]) == 1
        bill = page["data"][0]
        assert (bill["status"], bill["total"], bill["formattedTotal"], bill["currency"]) == ("paid", 900, "$9.00", "usd")
        assert bill["lines"][0]["amount"] == 900
        assert bill["pdfUrl"].startswith(world.url)
        older = api.get(f"{self.PATH}?limit=1&cursor={page['nextCursor']}", by=owner).json()
        assert older["data"][0]["createdAt"] < bill["createdAt"]
        assert older["nextCursor"] is None
        assert api.get(self.PATH, by=admin).status_code == 200
        assert api.get(self.PATH, by=stranger).json()["data"] == []
        assert problem(api.get(self.PATH, by=member))[0] == 403
        assert problem(api.get(self.PATH)) == (401, "credentials_missing")
        assert problem(api.get(f"{self.PATH}?cursor=nonsense", by=owner))[0] in (404, 422)

    def test_recurring_discount_is_described_in_full(self, world, api, owner, subscribed, clock):
        coupon = world.sdk.coupons.create({"percent_off": 50, "duration": "forever", "name": "Half off"})
        code = world.sdk.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "HALF"})
        subscribed(discounts=[{"promotion_code": code.id}])
        (result,) = api.get("/api/billing/subscription", by=owner).json()["discounts"]
        assert (result["coupon"], result["name"], result["code"]) == (coupon.id, "Half off", "HALF")
        assert (result["percentOff"], result["amountOff"], result["duration"]) == (50, None, "forever")

    def test_coupons_codes_and_their_ends_are_shown(self, world, acme, subscribed, clock):
        coupon = world.sdk.coupons.create({"percent_off": 50, "duration": "once"})
        subscribed(discounts=[{"coupon": coupon.id}])
        first = Invoice.objects.get()
        assert (first.subtotal, first.discount, first.total) == (900, 450, 450)
        assert BillingManager(acme).subscription().discounts == ()  # The coupon was for one invoice, which is paid.
        world.advance(clock, days=31.2)
        world.deliver()
        assert Invoice.objects.order_by("-created_at").first().total == 900
