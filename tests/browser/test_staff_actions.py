"""Staff act on an organization in the browser: the form, the preview and the result are readable and accessible."""

import pytest

from tests.browser.conftest import NARROW, WIDE
from tests.support.customers import sign_up

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def customer(world):
    ada = sign_up(world, "Difference Engines")
    ada.subscribe("pro")
    yield ada
    ada.close()


@pytest.fixture
def operator(person, world):
    def sign_in(scheme):
        visitor = person(scheme=scheme)
        page = visitor.page
        page.goto(f"{world.url}/accounts/login/?next=/admin/")
        page.get_by_label("Email").fill(world.world.admin_email)
        page.get_by_label("Password").fill(world.world.admin_password)
        page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()
        page.wait_for_url(f"{world.url}/admin/")
        return visitor

    return sign_in


def check(visitor, name, failures):
    for width in (NARROW, WIDE):
        visitor.resize(width)
        failures.extend(f"{name} at {width}: sticks out: {each}" for each in visitor.overflow())
        failures.extend(f"{name} at {width}: {each}" for each in visitor.barriers())
        visitor.shoot(f"action-{name}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_actions_are_readable_and_leave_their_result(operator, world, customer, scheme):
    visitor = operator(scheme)
    page, failures = visitor.page, []
    organization = customer.api.get("/api/organization")["id"]
    actions = f"{world.url}/admin/organizations/{organization}/actions"

    page.goto(f"{actions}/grant-plan/")
    check(visitor, "grant-form", failures)
    page.get_by_label("Plan", exact=True).select_option("enterprise")
    page.get_by_label("No end").check()
    page.get_by_role("button", name="Preview").click()
    page.get_by_text("Enter a reason.").wait_for()
    check(visitor, "grant-errors", failures)
    page.get_by_label("Reason").fill("Ticket 7")
    page.get_by_role("button", name="Preview").click()
    page.get_by_text("Changes", exact=True).wait_for()
    check(visitor, "grant-preview", failures)
    page.get_by_role("button", name="Back").click()
    assert page.get_by_label("Reason").input_value() == "Ticket 7"

    page.goto(f"{actions}/credit/")
    page.get_by_label("Amount").fill("5")
    page.get_by_label("Reason").fill("Ticket 7")
    page.get_by_role("button", name="Preview").click()
    page.get_by_role("button", name="Adjust credit balance: Difference Engines").click()
    page.wait_for_url("**/accounts/organization/**")
    assert "The customer's credit is now" in page.locator("body").inner_text()

    page.goto(f"{actions}/uncancel/")
    check(visitor, "unavailable", failures)
    page.goto(f"{actions}/close/")
    page.get_by_label("Reason").fill("Ticket 7")
    page.get_by_role("button", name="Preview").click()
    check(visitor, "close-preview", failures)
    assert failures == []
