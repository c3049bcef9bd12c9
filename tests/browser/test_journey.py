"""From the sign-up form to a paid plan in a browser."""

import re
import secrets

import httpx
import pytest
from playwright.sync_api import expect

from tests.support.customers import mailed_link

pytestmark = pytest.mark.browser
PLAIN, DECLINED, ASKS = "4242 4242 4242 4242", "4000 0000 0000 0002", "4000 0027 6000 3184"


def pay_with(page, card):
    page.get_by_label("Card number").fill(card)
    page.get_by_label("Expiry").fill("12 / 34")
    page.get_by_label("CVC").fill("123")
    page.get_by_label("Name on card").fill("Ada Lovelace")
    page.locator("#submit").click()


def sign_up(page, world):
    """Sign up through the form and the link in the email."""
    email = f"ada-{secrets.token_hex(4)}@example.com"
    page.goto(world.url)
    page.get_by_role("link", name="Start free").first.click()
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(secrets.token_urlsafe(15))
    page.get_by_label("Organization").fill("Analytical Engines")
    page.get_by_role("main").get_by_role("button").last.click()
    expect(page.get_by_role("heading", name="Check your email")).to_be_visible()
    page.goto(mailed_link(world, email, "accounts/confirm-email"))
    page.get_by_role("main").get_by_role("button").last.click()


def test_sign_up_to_a_paid_plan(person, world):
    ada = person()
    page = ada.page
    sign_up(page, world)

    page.get_by_role("button", name="Create API key").click()
    key = page.locator("#key").inner_text().strip()
    assert re.fullmatch(r"cmcp_sk_test_[0-9A-Za-z]+", key)
    assert key in page.locator("#claude-code-key").inner_text()
    ada.shoot("journey-1-first-key")
    expect(page.get_by_role("heading", name="Waiting for your first call")).to_be_visible()
    page.get_by_role("button", name="I have copied the key").click()
    expect(page.get_by_role("heading", name="Waiting for your first call")).to_be_visible()
    assert httpx.get(f"{world.url}/api/auth/whoami", headers={"Authorization": f"Bearer {key}"}, timeout=30).status_code == 200
    # The page asks every 3 seconds, and the last use of keys is written every 5.
    expect(page.get_by_role("heading", name="Your first call has arrived")).to_be_visible(timeout=60_000)
    ada.shoot("journey-1b-connected")
    page.get_by_role("link", name="Go to your account").click()
    expect(page.get_by_role("heading", name="Analytical Engines")).to_be_visible()

    page.get_by_role("link", name="Start a trial").first.click()
    page.locator("label[for=yearly]").click()
    expect(page.locator(".plan", has_text="Pro").get_by_text("$90").first).to_be_visible()
    page.get_by_text("Monthly", exact=True).click()
    page.locator("section.plan", has=page.get_by_role("heading", name="Pro")).get_by_role("link").locator("visible=true").click()
    page.wait_for_url("**/billing/choose/**")
    page.get_by_role("button", name="Start 14-day trial").click()
    page.wait_for_url(f"{world.stripe_url}/c/pay/**")
    ada.shoot("journey-2-checkout")

    pay_with(page, DECLINED)
    expect(page.get_by_role("alert")).to_have_text("Your card was declined.")
    expect(page.get_by_label("Name on card")).to_have_value("Ada Lovelace")
    ada.shoot("journey-3-declined")

    pay_with(page, ASKS)
    expect(page.get_by_role("heading", name="Your bank asks you to confirm")).to_be_visible()
    page.get_by_role("button", name="Confirm").click()
    page.wait_for_url(f"{world.url}/account/**")
    expect(page.get_by_text("Your Pro trial has started")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("Pro")
    ada.shoot("journey-4-on-pro")

    page.goto(f"{world.url}/account/billing/")
    ada.shoot("journey-5-billing")
    page.get_by_role("button", name="Billing address and tax ID").click()
    page.wait_for_url(f"{world.stripe_url}/p/session/**")
    page.get_by_role("button", name="Cancel plan").click()
    expect(page.get_by_role("button", name="Don't cancel plan")).to_be_visible()
    ada.shoot("journey-6-portal")
    shows_soon(world, page, "without a charge")
    ada.shoot("journey-7-cancelled")

    page.get_by_role("button", name="Billing address and tax ID").click()
    page.get_by_role("button", name="Don't cancel plan").click()
    expect(page.get_by_role("button", name="Cancel plan")).to_be_visible()
    shows_soon(world, page, "unless you cancel first")
    assert ada.failures == []


def shows_soon(world, page, text):
    """What Stripe's events change in the sentence about the plan."""
    page.goto(f"{world.url}/account/billing/")
    world.until(lambda: page.reload() and page.locator("p.next").get_by_text(text).count(), f"{text} on the page", 15)
