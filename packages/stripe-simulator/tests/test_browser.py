"""The hosted pages in a real browser."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright
from simulator_fixtures import StripeApi

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


def fill(page: Page, number: str) -> None:
    page.get_by_label("Card number").fill(number)
    page.get_by_label("Expiry").fill("12 / 34")
    page.get_by_label("CVC").fill("123")


def test_checkout_handles_declines_authentication_and_redirect(stripe_api: StripeApi, page: Page) -> None:
    customer = stripe_api.customer(None)
    url = stripe_api.v1.billing_portal.sessions.create({"customer": customer.id}).url
    session = stripe_api.checkout(stripe_api.price(900).id, customer=customer.id, success_url=url)
    page.goto(session.url or "")
    assert page.locator("#total").inner_text() == "$9.00"
    fill(page, "4000000000000002")
    page.get_by_role("button", name="Subscribe").click()
    assert page.get_by_role("alert").inner_text() == "Your card was declined."
    fill(page, "4000002500003155")
    page.get_by_role("button", name="Subscribe").click()
    page.get_by_role("button", name="Confirm").click()
    page.wait_for_url("**/p/session/**")
    assert stripe_api.v1.checkout.sessions.retrieve(session.id).status == "complete"
    page.get_by_role("button", name="Cancel plan").click()
    assert page.get_by_text("Cancels on").is_visible()
    page.get_by_role("button", name="Don't cancel plan").click()
    assert page.get_by_text("Renews on").is_visible()
