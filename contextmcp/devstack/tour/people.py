"""Chapters about accounts: sign-up, keys, a teammate."""

import re
import secrets

import httpx

from .browser import Browser
from .context import Journey
from .mcp_tools import read_configuration
from .report import Report, eventually, expect

# The scopes that the tour needs. New keys have fewer by default.
SCOPES = ["organization:read", "organization:write", "entitlements:read", "usage:read", "usage:write", "billing:read", "billing:write"]
KEY = re.compile(r"cmcp_sk_(?:test|live)_[0-9A-Za-z]+")


def _register(browser: Browser, journey: Journey, email: str, password: str, organization: str) -> None:
    """Sign up and open the confirmation link of the email, which signs in."""
    browser.open(f"{journey.world.url}/accounts/signup/")
    browser.submit({"email": email, "password1": password, "organization": organization})
    browser.open(_link(journey.world.mail_url, email, "/accounts/confirm-email/"))
    browser.submit({}, having="confirm-email")


def _first_key(browser: Browser, url: str) -> str:
    browser.open(f"{url}/welcome/")
    browser.submit({}, having="key")
    return _shown_key(browser)


def _shown_key(browser: Browser) -> str:
    match = KEY.search(browser.html)
    expect(match, f"the page at {browser.address} shows no key")
    assert match
    return match[0]


def sign_up(journey: Journey, report: Report) -> bool:
    url = journey.world.url

    def form() -> str:
        _register(journey.browser, journey, journey.email, journey.password, "Analytical Engines")
        return f"{journey.email} is confirmed by the link in the email, signed in, and sees {journey.browser.address}"

    def key() -> str:
        journey.api.key = _first_key(journey.browser, url)
        journey.mcp_configuration = read_configuration(journey.browser.html)
        return f"{journey.api.key[:16]}... shown once, with an MCP client configuration to paste"

    def broader() -> str:
        answer = journey.api.call("POST", "/api/organization/invitations", {"email": "eve@example.com"})
        expect(
            answer.status_code == 403 and answer.json()["code"] == "insufficient_scope",
            f"the first key was allowed to invite a member: {answer.text}",
        )
        journey.browser.open(f"{url}/account/keys/")
        journey.browser.submit({"name": "Tour", "access": "custom", "scopes": SCOPES})
        journey.api.key = _shown_key(journey.browser)
        return f"the first key was refused (403 insufficient_scope); a key with {', '.join(SCOPES)} is used from now on"

    def whoami() -> str:
        journey.organization = journey.api.get("/api/organization")
        me = journey.api.get("/api/auth/whoami")
        return f"organization {journey.organization['id']}, plan {journey.organization['plan']}, role {me['role']}"

    def second() -> str:
        other = Browser()
        try:
            _register(other, journey, f"second-{secrets.token_hex(3)}@example.com", secrets.token_urlsafe(15), "Untouched")
            journey.free_key = _first_key(other, url)
        finally:
            other.close()
        return f"a second organization, which stays on {journey.offer.free['title']}"

    return (
        report.step("sign up through the form and confirm the address", form)
        and report.step("create the first API key on the welcome page", key)
        and report.step("the first key cannot change the team; a key with named scopes can", broader)
        and report.step("the key identifies the organization and the role", whoami)
        and report.step(f"another organization signs up and stays on {journey.offer.free['title']}", second)
    )


def _link(mail_url: str, recipient: str, path: str) -> str:
    """Return the first link with `path` in the newest email to `recipient`."""

    def arrived() -> str:
        messages = httpx.get(f"{mail_url}/messages", timeout=5).json()
        for message in sorted(messages, key=lambda m: m.get("received", ""), reverse=True):
            if recipient in str(message["to"]):
                match = re.search(rf"https?://\S*{path}\S*", message["text"])
                if match:
                    return match[0].rstrip(".,)>")
        return ""

    return str(eventually(arrived, what=f"a mail to {recipient} with a link to {path}"))


def _refused(journey: Journey, key: str) -> httpx.Response | None:
    answer = journey.api.call("GET", "/api/auth/whoami", key=key)
    return answer if answer.status_code == 401 else None


def keys_and_team(journey: Journey, report: Report) -> bool:
    old = journey.api.key

    def rotate() -> str:
        rotation = journey.api.post("/api/auth/rotate-key", {"overlapSeconds": 3600})
        journey.api.key = rotation["key"]
        for name, key in {"new": rotation["key"], "old": old}.items():
            expect(
                journey.api.call("GET", "/api/auth/whoami", key=key).status_code == 200, f"the {name} key does not work during the overlap"
            )
        return "both keys work during the hour of overlap"

    def dies() -> str:
        # Without an overlap no step depends on timing, however slow the machine is.
        replaced = journey.api.key
        journey.api.key = journey.api.post("/api/auth/rotate-key", {"overlapSeconds": 0})["key"]
        answer = eventually(lambda: _refused(journey, replaced), what="the replaced key is refused")
        expect(answer.json()["code"] == "key_expired", f"the response to the old key was {answer.text}")
        return f"401 {answer.json()['code']}: {answer.json()['detail']}"

    def invite() -> str:
        mate = f"grace-{secrets.token_hex(3)}@example.com"
        journey.api.post("/api/organization/invitations", {"email": mate, "role": "member"})
        link = _link(journey.world.mail_url, mate, "/invitations/")
        browser = Browser()
        try:
            browser.open(link)
            # Opening the link proves access to the mailbox, so no confirmation is required.
            browser.open(f"{journey.world.url}/accounts/signup/")
            browser.submit({"email": mate, "password1": secrets.token_urlsafe(15)})
            browser.submit({}, having="invitations")
        finally:
            browser.close()
        members = journey.api.get("/api/organization/members")["data"]
        matches = [member for member in members if member["email"] == mate]
        expect(matches and matches[0]["role"] == "member", f"{mate} is not a member: {members}")
        return f"email to {mate}, link opened, invitation accepted: {len(members)} members"

    return (
        report.step("rotate the key: the old one works during the overlap", rotate)
        and report.step("rotate it again without an overlap: the replaced key is refused", dies)
        and report.step("invite a teammate by email, who accepts", invite)
    )
