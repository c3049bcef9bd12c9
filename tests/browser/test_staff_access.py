"""The search box of the admin, and viewing the product as a member, at a laptop's and a phone's width."""

import pytest

from tests.browser.conftest import NARROW, WIDE, sign_in_as_staff
from tests.support.customers import sign_up

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def customer(world):
    people = [sign_up(world, name) for name in ("Analytical Engines and Difference Machines", "Analytical Branch")]
    yield people[0]
    for each in people:
        each.close()


@pytest.fixture
def operator(person, world):
    """Sessions of their own, because viewing as a member changes the session."""

    def sign_in(**options):
        visitor = person(**options)
        sign_in_as_staff(visitor, world)
        return visitor

    return sign_in


@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "light"), (NARROW, "light"), (WIDE, "dark")])
def test_staff_find_a_customer_and_view_as_them(operator, world, customer, width, scheme):
    visitor = operator(scheme=scheme, width=width)
    page = visitor.page

    def check(name):
        visitor.shoot(f"staff-{name}")
        assert (name, visitor.overflow(), visitor.barriers()) == (name, [], [])

    page.goto(f"{world.url}/admin/accounts/organization/")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "staff-search-text"
    page.keyboard.type("analytical")
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/find/")
    check("search")
    page.locator("#staff-search-text").fill(customer.email)
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/accounts/organization/*/change/")
    page.get_by_role("link", name="View as").first.click()
    page.wait_for_url("**/admin/impersonate/**")
    check("impersonate")
    page.get_by_label("Reason").fill("Ticket 7")
    page.get_by_role("button", name="View as this member").click()
    page.wait_for_url("**/account/")
    banner = page.get_by_label("Viewing as a member")
    assert "read-only" in banner.inner_text()
    check("viewing")
    page.goto(f"{world.url}/account/settings/")
    page.get_by_role("button", name="Save").first.click()
    page.get_by_text("Nothing was changed").wait_for()
    check("refused")
    page.goto(f"{world.url}/admin/")
    check("admin-viewing")
    page.get_by_label("Viewing as a member").get_by_role("button", name="Stop").click()
    page.wait_for_url("**/admin/accounts/organization/*/change/")
    assert page.get_by_label("Viewing as a member").count() == 0
