"""Every page, wide and narrow, light and dark: nothing overflows, nothing reports errors, and everything is accessible."""

import re

import psycopg
import pytest
from django.urls import get_resolver

from tests.browser import test_settings
from tests.browser.conftest import NARROW, WIDE
from tests.support.customers import sign_up

pytestmark = pytest.mark.browser
SIGNED_OUT = {
    "pricing": "/pricing/",
    "account_login": "/accounts/login/",
    "account_signup": "/accounts/signup/",
    "account_reset_password": "/accounts/password/reset/",
    "account_reset_password_done": "/accounts/password/reset/done/",
    "account_email_verification_sent": "/accounts/confirm-email/",
    "nothing-here": "/there-is-no-such-page",
    "invitation-that-is-over": "/invitations/none/",
}
SIGNED_IN = {
    "pricing": "/pricing/",
    "welcome": "/welcome/",
    "connect": "/welcome/connect/",
    "account": "/account/",
    "keys": "/account/keys/",
    "connected-apps": "/account/apps/",
    "usage": "/account/usage/",
    "activity": "/account/activity/",
    "activity-filtered": "/account/activity/?kind=key",
    "team": "/account/team/",
    "billing": "/account/billing/",
    "choose-plan": "/account/billing/choose/?plan=enterprise&interval=year",
    "preview-change": "/account/billing/change/?plan=enterprise&interval=month",
    "cancel-plan": "/account/billing/cancel/",
    "invoices": "/account/billing/invoices/",
    "new-organization": "/account/new/",
    "account_logout": "/accounts/logout/",
}
# These redirect, only accept forms, or need a link from an email. The journeys cover them.
ELSEWHERE = {
    "brand-css",
    "home",
    "first-key",
    "new-key",
    "first-call",
    "closed-organization",
    "usage-csv",
    "checkout-return",
    "invoice",
    "invitation",
    "account_confirm_email",
    "account_confirm_login_code",
    "account_reset_password_from_key",
    "account_reset_password_from_key_done",
    "account_set_password",
    "account_inactive",
    "account_reauthenticate",
    "undo-email-change",
    *test_settings.PAGES,
    *test_settings.VISITED,
}
FORMS_ONLY = re.compile(
    r"-form$|^(set-language|create-key|invite|checkout|portal|switch-organization|change-plan|cancel-scheduled-change|resume-plan"
    r"|change-settings|close-organization|transfer-ownership|disconnect-app|save-notifications|save-profile|delete-account|request-export"
    r"|(create|change|enable|disable|delete|rotate|test)-webhook|redeliver-message|forget-webhook-secret)$"
)


@pytest.fixture(scope="module")
def member(world):
    """An owner whose pages have content."""
    ada = sign_up(world, "Analytical Engines and Difference Machines of Marylebone")
    ada.subscribe("pro")
    for amount in (3, 940):
        ada.api.post("/api/usage/authorize", {"feature": "sessions", "amount": amount})
    ada.api.post("/api/usage/authorize", {"feature": "projects", "amount": 10})
    with psycopg.connect(world.world.environment["DATABASE_URL"]) as connection:
        connection.execute(
            "INSERT INTO usage_tool_summaries (organization_id, grain, bucket, feature, tool, amount, events)"
            " SELECT id, 'd', date_trunc('day', now(), 'UTC'), 'sessions', tool, units, calls FROM accounts_organization,"
            " (VALUES ('start_session', 41234, 1234), (repeat('long_tool_name.', 8), 3, 1)) AS used (tool, units, calls)"
        )
    ada.make_key("A key with a name as long as a customer thinks fit, for the machine in the cellar of the old house")
    ada.invite("viewer").close()
    ada.in_session("POST", "/api/organization/invitations", {"email": "grace.brewster.murray.hopper@compilers.example", "role": "admin"})
    yield ada
    ada.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_for_anonymous_visitors(person, world, scheme):
    visitor = person(scheme=scheme)
    matches = []
    for name, path in SIGNED_OUT.items():
        visitor.page.goto(world.url + path)
        matches += visitor.problems(f"out-{name}")
    assert matches + layout_problems(visitor) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_for_members(person, world, member, scheme):
    visitor = person(scheme=scheme)
    visitor.take_over(member.browser.client.cookies, world.url)
    matches = []
    for name, path in SIGNED_IN.items():
        answer = visitor.page.goto(world.url + path)
        assert answer.status == 200, f"{path} answered {answer.status}"
        matches += visitor.problems(f"in-{name}")
    assert matches + layout_problems(visitor) == []


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_messages_menus_and_confirmations(person, world, member, width):
    """Dialogs and messages of forms also fit the page and are accessible."""
    visitor = person()
    visitor.take_over(member.browser.client.cookies, world.url)
    visitor.resize(width)
    page, matches = visitor.page, []

    def check(name):
        matches.extend(f"{name} at {width}: sticks out: {each}" for each in visitor.overflow())
        matches.extend(f"{name} at {width}: {each}" for each in visitor.barriers())
        visitor.shoot(name, whole=False)

    page.goto(f"{world.url}/account/settings/")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Settings saved.").wait_for()
    check("open-message")
    page.locator("details.menu > summary").click()
    check("open-menu")
    page.keyboard.press("Escape")
    page.fill("[name=email]", "nonsense@nowhere")
    page.get_by_role("button", name="Save").click()
    page.locator(".note.error").wait_for()
    assert page.locator("[name=email]").input_value() == "nonsense@nowhere"
    check("open-refusal")
    for path in ("keys", "team"):
        page.goto(f"{world.url}/account/{path}/")
        for number, summary in enumerate(page.locator("details.popover > summary").all()):
            summary.click()
            panel = summary.locator("xpath=..").locator(".popover-panel").bounding_box()
            assert panel["x"] >= 0 and panel["x"] + panel["width"] <= width, f"{path}: the confirmation is cut off"
            if number < 2:
                check(f"open-{path}-{number}")
            page.keyboard.press("Escape")
    assert matches == []


def test_a_menu_closes_when_the_focus_leaves_it(person, world, member):
    visitor = person()
    visitor.take_over(member.browser.client.cookies, world.url)
    page = visitor.page
    page.goto(f"{world.url}/account/")
    menu = page.locator("details.menu")
    menu.locator("summary").focus()
    page.keyboard.press("Enter")
    assert menu.get_attribute("open") is not None
    for _ in range(menu.locator("a, button").count() + 1):
        page.keyboard.press("Tab")
    assert menu.get_attribute("open") is None


def test_a_second_click_and_a_reload_create_no_second_key(person, world, member):
    visitor = person()
    visitor.take_over(member.browser.client.cookies, world.url)
    page = visitor.page
    page.goto(f"{world.url}/account/keys/")
    page.get_by_label("Name").fill("Pressed twice")
    page.get_by_role("button", name="Create API key").dblclick()
    page.wait_for_url(f"{world.url}/account/keys/new/")
    key = page.locator("#key").inner_text()
    for width in (WIDE, NARROW):
        visitor.resize(width)
        assert visitor.overflow() + visitor.barriers() == []
        visitor.shoot("in-new-key")
    page.reload()
    assert page.locator("#key").inner_text() == key
    page.get_by_role("button", name="I have copied the key").click()
    page.goto(f"{world.url}/account/keys/")
    assert page.locator("strong", has_text="Pressed twice").count() == 1


def test_the_page_about_the_api_renders(person, world):
    visitor = person()
    visitor.page.goto(f"{world.url}/api/docs")
    visitor.page.locator("#operations-Identity-whoami, .opblock").first.wait_for()
    assert visitor.page.locator(".opblock").count() >= 29
    visitor.shoot("out-docs", whole=False)
    assert visitor.failures == []


def test_an_error_message_has_margins(person, world):
    visitor = person()
    visitor.page.goto(f"{world.url}/accounts/login/")
    visitor.page.fill("[name=login]", "unknown@acme.example")
    visitor.page.fill("[name=password]", "not a password of anybody's")
    visitor.page.press("[name=password]", "Enter")
    note = visitor.page.locator(".note.error")
    note.wait_for()
    visitor.shoot("out-refused")
    assert note.evaluate("note => parseFloat(getComputedStyle(note).paddingLeft)") >= 12


def layout_problems(visitor):
    """A page that says "not found" with its status is not an error."""
    return [each for each in visitor.failures if "status of 404" not in each]


def test_every_page_is_tested():
    """Every new page must be listed here."""
    names = {name for name in get_resolver().reverse_dict if isinstance(name, str)}
    site = {name for name in names if not name.startswith(("mfa_", "rest", "djstripe"))}
    messages = {*SIGNED_OUT, *SIGNED_IN, *ELSEWHERE}
    pages = {name for name in site if not FORMS_ONLY.search(name) and not is_api(name)}
    assert pages - messages == set()


def is_api(name):
    patterns = get_resolver().reverse_dict.getlist(name)
    return all(
        possibility[0][0].startswith(("api/", "livez", "readyz", "metrics", "admin", ".well-known/"))
        for each in patterns
        for possibility in [each[0]]
    )
