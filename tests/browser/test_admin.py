"""The admin pages that staff use most: everything is readable at a laptop's width."""

import pytest

from tests.support.customers import sign_up

pytestmark = pytest.mark.browser
# A table in a box that scrolls sideways hides its last columns.
HIDDEN_COLUMNS = """() => [...document.querySelectorAll("#result_list")]
  .map((table) => table.closest(".overflow-x-auto, .overflow-auto, [data-simplebar], .simplebar-content-wrapper") || table.parentElement)
  .filter((box) => box.scrollWidth > box.clientWidth + 1)
  .map((box) => `the table is ${box.scrollWidth} wide in ${box.clientWidth}`)"""
# The cells of a table within a page, such as the lines of an invoice.
TOUCHING_CELLS = """() => [...document.querySelectorAll("#content-main td + td")]
  .filter((cell) => {
    const before = cell.previousElementSibling, ink = (each) => parseFloat(getComputedStyle(each).paddingLeft);
    return before.offsetWidth && ink(cell) + parseFloat(getComputedStyle(before).paddingRight) < 4;
  })
  .map((cell) => `${cell.previousElementSibling.innerText} touches ${cell.innerText}`)"""
LISTS = {
    "users": "accounts/user",
    "organizations": "accounts/organization",
    "api-keys": "accounts/apikey",
    "audit": "accounts/auditevent",
    "subscriptions": "billing/subscriptionstate",
    "invoices": "billing/invoice",
    "webhook-events": "billing/webhookevent",
    "grants": "entitlements/grant",
}


@pytest.fixture(scope="module")
def customer(world):
    ada = sign_up(world, "Analytical Engines and Difference Machines")
    ada.subscribe("pro")
    yield ada
    ada.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_the_width_of_a_laptop(operator, world, customer, scheme):
    visitor = operator(scheme=scheme)
    page, failures = visitor.page, []
    page.goto(f"{world.url}/admin/")

    def check(name):
        failures.extend(f"{name}: sticks out: {each}" for each in visitor.overflow())
        failures.extend(f"{name}: {each}" for each in page.evaluate(HIDDEN_COLUMNS))
        visitor.shoot(f"admin-{name}")

    check("dashboard")
    for name, path in LISTS.items():
        page.goto(f"{world.url}/admin/{path}/")
        check(name)
        page.locator("#result_list tbody a").first.click()
        page.wait_for_url("**/change/**")
        check(f"{name}-page")
        failures.extend(f"{name}-page: {each}" for each in page.evaluate(TOUCHING_CELLS))
    # The first user in the list may be the operator, whose own rights are text; those of other users are lists to choose from.
    page.goto(f"{world.url}/admin/accounts/user/?q={customer.email}")
    page.locator("#result_list tbody a").first.click()
    page.wait_for_url("**/change/**")
    check("another-user")
    page.goto(f"{world.url}/admin/entitlements/grant/add/")
    check("grant-add")
    assert failures == []


def test_an_event_shows_its_error_above_its_payload_and_links_its_customer(operator, world, customer):
    page = operator().page
    page.goto(f"{world.url}/admin/billing/webhookevent/?q=customer.subscription.created")
    page.locator("#result_list tbody a").first.click()
    page.wait_for_url("**/change/**")
    labels = page.locator("#content-main").inner_text().lower()
    assert labels.index("error") < labels.index("payload")
    page.locator("#content-main").get_by_role("link", name="cus_").click()
    page.wait_for_url("**/billing/billingaccount/**")
    assert page.locator("#result_list tbody tr").count() == 1
