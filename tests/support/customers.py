"""Customers of a running stack, created through its forms, its API and Stripe's pages."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import Any

import httpx

from contextmcp.devstack.tour.browser import Api, Browser
from tests.support.stacks import Running

GOOD_CARD = "4242424242424242"
KEY = re.compile(r"cmcp_sk_test_[0-9A-Za-z]+")


@dataclass
class Customer:
    """A person with a session in `browser` and a key in `api`."""

    world: Running
    email: str
    password: str
    browser: Browser = field(default_factory=Browser)
    api: Api = field(init=False)

    def __post_init__(self) -> None:
        self.api = Api(self.world.url)

    @property
    def key(self) -> str:
        return self.api.key

    def close(self) -> None:
        self.browser.close()
        self.api.close()

    def make_key(self, name: str = "Key", **more: Any) -> dict[str, Any]:
        """Send a request with the session, as a script of the page would."""
        answer = self.in_session("POST", "/api/auth/generate-key", {"name": name, **more})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def in_session(self, method: str, path: str, body: Any = None) -> httpx.Response:
        client = self.browser.client
        headers = {"X-CSRFToken": client.cookies.get("csrftoken") or "", "Origin": self.world.url, "Referer": self.world.url}
        return client.request(method, self.world.url + path, json=body, headers=headers)

    def subscribe(self, plan: str = "pro", interval: str = "month", card: str = GOOD_CARD) -> None:
        """Subscribe through Checkout. Return when the plan is active."""
        session = self.api.post("/api/billing/create-checkout-session", {"planTier": plan, "interval": interval})
        self.browser.open(session["url"])
        self.browser.submit({"cardNumber": card, "cardExpiry": "12 / 34", "cardCvc": "123", "billingName": "Ada"})
        self.world.until(lambda: self.api.get("/api/billing/subscription")["plan"] == plan, f"{self.email} is on {plan}", 20)

    def confirm_address(self) -> None:
        """Confirm the address by the link in the email."""
        link = mailed_link(self.world, self.email, "accounts/confirm-email")
        self.browser.open(link)
        self.browser.submit({}, having="confirm-email")

    def invite(self, role: str) -> Customer:
        """Invite a colleague and accept through the link in the email."""
        mate = Customer(self.world, f"{role}-{secrets.token_hex(4)}@example.com", secrets.token_urlsafe(15))
        answer = self.in_session("POST", "/api/organization/invitations", {"email": mate.email, "role": role})
        assert answer.status_code == 201, answer.text
        link = mailed_link(self.world, mate.email, "invitations")
        mate.browser.open(link)
        mate.browser.open("/accounts/signup/")
        mate.browser.submit({"email": mate.email, "password1": mate.password})
        mate.browser.open(link)
        mate.browser.submit({}, having="invitations")
        return mate


def mailed_link(world: Running, email: str, path: str) -> str:
    """Wait for an email to `email` and return its link to `path`."""

    def arrived() -> str:
        for mail in httpx.get(f"{world.mail_url}/messages", params={"to": email}, timeout=5).json()[::-1]:
            if match := re.search(rf"https?://\S+/{path}/[^\s>\"]+", mail["text"]):
                return match[0]
        return ""

    return str(world.until(arrived, f"a mail to {email} with a link to {path}", 20))


def sign_up(world: Running, organization: str = "Acme", *, key: bool = True) -> Customer:
    """Create a new owner of a new organization on the Free plan, with a key that has every scope."""
    customer = Customer(world, f"owner-{secrets.token_hex(4)}@example.com", secrets.token_urlsafe(15))
    customer.browser.open(f"{world.url}/accounts/signup/")
    customer.browser.submit({"email": customer.email, "password1": customer.password, "organization": organization})
    customer.confirm_address()
    if key:
        customer.api.key = customer.make_key("Everything", scopes=ALL_SCOPES)["key"]
    return customer


ALL_SCOPES = [
    "keys:write",
    "organization:read",
    "organization:write",
    "entitlements:read",
    "usage:read",
    "usage:write",
    "billing:read",
    "billing:write",
]
