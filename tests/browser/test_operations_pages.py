"""The pages with which staff operate the service: work queue, plans, publishing and alerts, readable and accessible."""

import pytest

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
