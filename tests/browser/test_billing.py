"""Pricing and billing in a browser: the pages of a purchase, a change and a cancellation, each wide and narrow."""

import pytest
import requests
from playwright.sync_api import expect

from tests.browser.conftest import NARROW, WIDE
from tests.support.customers import sign_up

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def ada(world):
    customer = sign_up(world, "Analytical Engines and Difference Machines of Marylebone")
    yield customer
    customer.close()


@pytest.fixture(scope="module")
def promotion(world):
    """A promotion code at Stripe."""
    key = world.world.environment["STRIPE_SECRET_KEY"]

    def create(path, **parameters):
        answer = requests.post(f"{world.stripe_url}/v1/{path}", data=parameters, auth=(key, ""), timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()

    coupon = create("coupons", percent_off=20, duration="repeating", duration_in_months=3)
    return create("promotion_codes", **{"promotion[type]": "coupon", "promotion[coupon]": coupon["id"], "code": "LAUNCH20"})["code"]


def check(visitor, name):
    """Return what is wrong with the present page at both widths."""
    found = []
    for width in (WIDE, NARROW):
        visitor.resize(width)
        found += [f"{name} at {width}: {each}" for each in (*visitor.overflow(), *visitor.barriers())]
        visitor.shoot(f"billing-{name}")
    visitor.resize(WIDE)
    return found


def press(page, target):
    """Reach an element with the keyboard, and press Enter."""
    target.focus()
    page.keyboard.press("Enter")


def test_the_pricing_page_of_an_anonymous_visitor(person, world):
    visitor = person()
    page = visitor.page
    page.goto(f"{world.url}/pricing/")
    found = check(visitor, "pricing")
    # The policy does not block a data block, and search engines can parse it.
    data = """JSON.parse(document.querySelector('script[type="application/ld+json"]').textContent)"""
    assert page.evaluate(data)["@type"] == "Product"
    assert not page.get_by_text("per year").first.is_visible()
    page.get_by_text("Yearly").first.click()
    page.get_by_text("per year").first.wait_for()
    assert not page.get_by_text("per month", exact=True).first.is_visible()
    assert found + visitor.failures == []


def test_a_promotion_code_a_purchase_a_preview_and_a_cancellation(person, world, ada, promotion):
    visitor = person()
    visitor.take_over(ada.browser.client.cookies, world.url)
    page, url = visitor.page, f"{world.url}/account/billing"
    page.goto(f"{url}/")
    found = check(visitor, "free")
    page.get_by_role("link", name="Start 14-day trial (Pro, billed monthly)").click()
    page.get_by_text("Add promotion code").click()
    page.get_by_label("Promotion code").fill("NOPE")
    press(page, page.get_by_role("button", name="Apply"))
    page.get_by_text("This promotion code does not exist.").wait_for()
    assert page.get_by_label("Promotion code").input_value() == "NOPE"
    found += check(visitor, "wrong-code")
    page.get_by_label("Promotion code").fill(promotion)
    press(page, page.get_by_role("button", name="Apply"))
    page.get_by_text("$7.20 per month for 3 months, then $9.00 per month.").wait_for()
    found += check(visitor, "promotion-code")

    ada.subscribe("pro")
    page.goto(f"{url}/")
    page.get_by_text("Your Pro trial is free until").wait_for()
    found += check(visitor, "trial")
    press(page, page.get_by_role("link", name="Upgrade (Enterprise, billed monthly)"))
    page.get_by_role("heading", name="Upgrade to Enterprise").wait_for()
    found += check(visitor, "preview")
    page.get_by_role("link", name="Go back").click()

    page.get_by_role("link", name="View all invoices").click()
    found += check(visitor, "invoices")
    page.locator("table.invoices th a").first.click()
    page.get_by_role("link", name="Download PDF").wait_for()
    found += check(visitor, "invoice")

    page.goto(f"{url}/")
    press(page, page.get_by_role("link", name="Cancel subscription"))
    page.get_by_role("heading", name="Cancel Pro").wait_for()
    found += check(visitor, "cancel")
    page.get_by_label("It's too expensive").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("A feature is missing")).to_be_checked()
    page.get_by_label("Anything else we should know?").fill("The export of my rules")
    press(page, page.get_by_role("button", name="Cancel subscription"))
    page.get_by_text("Your subscription is canceled. You have access until").wait_for()
    found += check(visitor, "canceled")
    press(page, page.get_by_role("button", name="Resume subscription"))
    page.get_by_text("Your subscription was resumed.").wait_for()
    assert found + visitor.failures == []
