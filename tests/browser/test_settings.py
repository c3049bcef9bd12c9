"""The settings of an organization and of the user's own account, in a browser, wide and light, then narrow and dark."""

import re

import pytest

from tests.browser.conftest import NARROW, WIDE
from tests.support.customers import sign_up

pytestmark = pytest.mark.browser
# Pages that need nothing to exist, by URL name.
PAGES = {
    "settings": "/account/settings/",
    "notifications": "/account/settings/notifications/",
    "webhooks": "/account/settings/webhooks/",
    "new-webhook": "/account/settings/webhooks/new/",
    "data-export": "/account/settings/export/",
    "close-page": "/account/settings/close/",
    "profile": "/accounts/profile/",
    "account_email": "/accounts/email/",
    "account_change_password": "/accounts/password/change/",
    "mfa_index": "/accounts/2fa/",
    "mfa_activate_totp": "/accounts/2fa/totp/activate/",
    "mfa_add_webauthn": "/accounts/2fa/webauthn/add/",
    "usersessions_list": "/accounts/sessions/",
    "delete-page": "/accounts/delete/",
}
# Pages that the journeys below open.
VISITED = {"webhook", "edit-webhook", "webhook-secret", "webhook-delivery", "webhook-delivery-state", "export-state", "finished-export"}
VISITED |= {"download-export"}


@pytest.fixture(scope="module")
def member(world):
    ada = sign_up(world, "Analytical Engines and Difference Machines of Marylebone")
    ada.subscribe("pro")
    ada.make_key("CI")
    yield ada
    ada.close()


def checked(visitor, name):
    """Return what is wrong with the page as it is shown, wide and light, and narrow and dark."""
    found = []
    for width, scheme in ((WIDE, "light"), (NARROW, "dark")):
        visitor.scheme = scheme
        visitor.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        visitor.resize(width)
        found += [f"{name} at {width}: sticks out: {each}" for each in visitor.overflow()]
        found += [f"{name} at {width}: {each}" for each in visitor.barriers()]
        visitor.shoot(f"settings-{name}")
    visitor.resize(WIDE)
    return found


def test_pages_and_journeys_of_settings(person, world, member):
    visitor = person()
    visitor.take_over(member.browser.client.cookies, world.url)
    page, found = visitor.page, []
    for name, path in PAGES.items():
        answer = page.goto(world.url + path)
        assert answer.status == 200, f"{path} answered {answer.status}"
        assert page.locator(".side [aria-current]").count() == 1, path
        found += checked(visitor, name)

    # A webhook endpoint: refused input, creation, the secret once, a test event that fails, rotation.
    page.goto(f"{world.url}/account/settings/webhooks/")
    page.get_by_role("link", name="Add endpoint").click()
    page.get_by_label("URL").fill("ftp://nothing.example")
    page.get_by_role("button", name="Add endpoint").click()
    page.locator(".note.error").wait_for()
    assert page.get_by_label("URL").input_value() == "ftp://nothing.example"
    found += checked(visitor, "webhook-refused")
    page.get_by_label("URL").fill("https://hooks.nowhere.invalid/a-rather-long-path/for-the-messages/of-the-analytical-engines")
    page.get_by_role("button", name="Add endpoint").dblclick()
    page.get_by_text("Copy this secret now.").wait_for()
    found += checked(visitor, "webhook-secret")
    page.get_by_role("button", name="I have copied the secret").click()
    page.get_by_text("No messages yet.").wait_for()
    page.get_by_role("button", name="Send test event").click()
    page.get_by_text("The host name does not exist").first.wait_for()
    found += checked(visitor, "webhook-delivery")
    page.get_by_role("navigation", name="Organization settings").get_by_role("link", name="Webhooks").click()
    page.get_by_role("link", name=re.compile("hooks.nowhere")).click()
    page.locator("summary", has_text="Rotate secret").click()
    found += checked(visitor, "webhook")
    page.get_by_role("button", name="Rotate secret").click()
    page.get_by_text("messages also carry a signature with the old secret").wait_for()
    page.get_by_role("navigation", name="Organization settings").get_by_role("link", name="Webhooks").click()
    found += checked(visitor, "webhooks-listed")

    # An export, which the page follows without a reload.
    page.goto(f"{world.url}/account/settings/export/")
    page.get_by_role("button", name="Request export").click()
    page.get_by_text("Your export is ready").wait_for()
    found += checked(visitor, "export-ready")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith(".zip")

    # A passkey, which brings recovery codes.
    session = visitor.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True}
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options | {"automaticPresenceSimulation": True}})
    page.goto(f"{world.url}/accounts/2fa/webauthn/add/")
    page.get_by_label("Name").fill("Laptop")
    page.get_by_role("button", name="Add passkey").click()
    page.get_by_role("heading", name="Recovery codes").wait_for()
    found += checked(visitor, "recovery-codes")
    page.goto(f"{world.url}/accounts/2fa/")
    page.get_by_text("10 of 10 codes are left.").wait_for()
    found += checked(visitor, "mfa-on")

    # Refused confirmations keep what was typed.
    page.goto(f"{world.url}/account/settings/close/")
    page.get_by_label("Organization name").fill("Something else")
    page.get_by_role("button", name="Close organization").click()
    page.get_by_text("The name does not match.").first.wait_for()
    assert page.get_by_label("Organization name").input_value() == "Something else"
    found += checked(visitor, "close-refused")
    assert found + visitor.failures == []
