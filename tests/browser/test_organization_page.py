"""The organization page of the back office: complete, readable at both widths, and free of barriers."""

import pytest

from tests.browser.conftest import NARROW, WIDE
from tests.support.customers import sign_up

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def customer(world):
    ada = sign_up(world, "Analytical Engines and Difference Machines")
    ada.subscribe("pro")
    ada.make_key("Production")
    yield ada
    ada.close()


@pytest.fixture
def operator(person, world):
    def sign_in(scheme="light"):
        visitor = person(scheme=scheme)
        page = visitor.page
        page.goto(f"{world.url}/accounts/login/?next=/admin/")
        page.get_by_label("Email").fill(world.world.admin_email)
        page.get_by_label("Password").fill(world.world.admin_password)
        page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()
        page.wait_for_url(f"{world.url}/admin/")
        return visitor

    return sign_in


def open_organization(visitor, world, customer):
    visitor.page.goto(f"{world.url}/admin/accounts/organization/?q={customer.email}")
    visitor.page.locator("#result_list tbody a").first.click()
    visitor.page.wait_for_url("**/change/**")
    # The last section is loaded after the page.
    visitor.page.locator("article#emails").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_complete_readable_and_free_of_barriers(operator, world, customer, scheme):
    visitor = operator(scheme)
    open_organization(visitor, world, customer)
    failures = []
    for width in (WIDE, NARROW):
        visitor.resize(width)
        failures += [f"{width}: {each}" for each in (*visitor.overflow(), *visitor.barriers())]
        visitor.shoot("organization")
    assert failures == []
    assert visitor.failures == []
    text = visitor.page.locator("#content").inner_text()
    for expected in ("Pro, $9.00 per month, in trial until", "Subscription here and at Stripe", "Production", "Open at Stripe"):
        assert expected in text


def test_the_comparison_with_stripe_opens_from_the_page(operator, world, customer):
    visitor = operator()
    open_organization(visitor, world, customer)
    visitor.page.get_by_role("button", name="Compare with Stripe now").click()
    visitor.page.get_by_role("heading", name="Comparison with Stripe").wait_for()
    assert "No difference" in visitor.page.locator("#content").inner_text()
    assert visitor.barriers() == []
