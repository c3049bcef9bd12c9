"""The pages with which staff operate the service: work queue, plans, publishing and alerts, readable and accessible."""

import pytest

from tests.browser.conftest import WIDE

pytestmark = pytest.mark.browser
PAGES = {
    "work-items": "accounts/workitem/?state=all",
    "plans": "plans/",
    "publish": "plans/publish/",
    "alerts": "accounts/operatoralert/",
    "alert-deliveries": "accounts/alertdelivery/",
    "test-alert": "alerts/test/",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_are_readable_and_free_of_barriers(operator, world, scheme):
    visitor = operator(scheme=scheme)
    failures = []
    for name, path in PAGES.items():
        visitor.page.goto(f"{world.url}/admin/{path}")
        failures += visitor.problems(f"operations-{name}")
    assert failures == []
    assert visitor.failures == []


def test_staff_send_a_test_alert_by_email(operator, world):
    visitor = operator()
    page = visitor.page
    page.goto(f"{world.url}/admin/accounts/operatoralert/")
    page.get_by_role("link", name="Send a test alert").click()
    page.get_by_label("Reason").fill("A new mail server.")
    page.get_by_role("button", name="Send a test alert").click()
    page.get_by_text("The mail server accepted 1 message.").wait_for()
    assert visitor.barriers() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lists_with_views_exports_pages_and_confirmations_are_readable_and_free_of_barriers(operator, world, scheme):
    visitor, failures = operator(scheme=scheme), []
    page = visitor.page

    def check(name):
        failures.extend(visitor.problems(f"lists-{name}"))
        visitor.resize(WIDE)

    page.goto(f"{world.url}/admin/procrastinate/procrastinatejob/?status__exact=succeeded")
    page.get_by_text("Save this view").click()
    page.get_by_label("Name").fill(f"Done {scheme}")
    page.get_by_label("Share with all staff").check()
    check("save-view")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text(f"The view “Done {scheme}” was saved.").wait_for()
    check("saved-view")
    page.goto(f"{world.url}/admin/accounts/savedview/")
    check("saved-views")
    page.get_by_role("link", name=f"Done {scheme}").click()
    page.get_by_role("button", name="Delete this view").click()
    page.get_by_text("was deleted").wait_for()
    # The position before ID 999999999: a later page, whose links lead back.
    page.goto(f"{world.url}/admin/billing/webhookevent/?after=WyI5OTk5OTk5OTkiXQ")
    page.get_by_role("link", name="Previous").wait_for()
    check("later-page")
    page.locator("#result_list tbody a").first.click()
    page.get_by_role("button", name="Discard dead events").click()
    page.get_by_label("Reason").wait_for()
    check("confirmation")
    assert failures == []
    assert visitor.failures == []


def test_the_browser_removes_the_secret_of_a_key_from_a_search(operator, world):
    page = operator().page
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{world.url}/admin/accounts/organization/")
    page.locator("#searchbar").fill("cmcp_sk_test_PublicId1234" + "S" * 38)
    page.locator("#searchbar").press("Enter")
    page.wait_for_url("**/admin/accounts/apikey/?q=PublicId1234")
    assert not [url for url in asked if "SSSS" in url]
