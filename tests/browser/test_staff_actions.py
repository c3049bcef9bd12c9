"""Staff act on an organization in the browser: the form, the preview and the result are readable and accessible."""

import pytest

from tests.support.customers import sign_up

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def customer(world):
    ada = sign_up(world, "Difference Engines")
    ada.subscribe("pro")
    yield ada
    ada.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_actions_are_readable_and_leave_their_result(operator, world, customer, scheme):
    visitor = operator(scheme=scheme)
    page, failures = visitor.page, []
    organization = customer.api.get("/api/organization")["id"]
    actions = f"{world.url}/admin/organizations/{organization}/actions"

    page.goto(f"{actions}/grant-plan/")
    failures += visitor.problems("action-grant-form")
    page.get_by_label("Plan", exact=True).select_option("enterprise")
    page.get_by_label("No end").check()
    page.get_by_role("button", name="Preview").click()
    page.get_by_text("Enter a reason.").wait_for()
    failures += visitor.problems("action-grant-errors")
    page.get_by_label("Reason").fill("Ticket 7")
    page.get_by_role("button", name="Preview").click()
    page.get_by_text("Changes", exact=True).wait_for()
    failures += visitor.problems("action-grant-preview")
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
    failures += visitor.problems("action-unavailable")
    page.goto(f"{actions}/close/")
    page.get_by_label("Reason").fill("Ticket 7")
    page.get_by_role("button", name="Preview").click()
    failures += visitor.problems("action-close-preview")
    assert failures == []
