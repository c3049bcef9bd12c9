"""Customers of a running world, made as customers are: through its forms, its API and Stripe's pages."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import Any

import httpx

from contextmcp.local.tour.browser import Api, Browser
from tests.support.worlds import Running

GOOD_CARD = "4242424242424242"
KEY = re.compile(r"cmcp_sk_test_[0-9A-Za-z]+")


@dataclass
class Customer:
    """Somebody with a session in `browser` and a key in `api`."""

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
        """With the session, as a page's script would."""
        answer = self.in_session("POST", "/api/auth/generate-key", {"name": name, **more})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def in_session(self, method: str, path: str, body: Any = None) -> httpx.Response:
        client = self.browser.client
        headers = {"X-CSRFToken": client.cookies.get("csrftoken", ""), "Origin": self.world.url, "Referer": self.world.url}
        return client.request(method, self.world.url + path, json=body, headers=headers)

    def subscribe(self, plan: str = "pro", interval: str = "month", card: str = GOOD_CARD) -> None:
        """Through Checkout; returns when the plan holds."""
        session = self.api.post("/api/billing/create-checkout-session", {"planTier": plan, "interval": interval})
        self.browser.open(session["url"])
        self.browser.submit({"cardNumber": card, "cardExpiry": "12 / 34", "cardCvc": "123", "billingName": "Ada"})
        self.world.until(lambda: self.api.get("/api/billing/subscription")["plan"] == plan, f"{self.email} is on {plan}", 20)

    def confirm_address(self) -> None:
        """With the link in the mail."""
        link = self.world.until(lambda: self._link_for(self.email, "accounts/confirm-email"), "the confirmation", 20)
        self.browser.open(link)
        self.browser.submit({}, having="confirm-email")

    def invite(self, role: str) -> Customer:
        """A colleague, who came by the mail."""
        mate = Customer(self.world, f"{role}-{secrets.token_hex(4)}@example.com", secrets.token_urlsafe(15))
        answer = self.in_session("POST", "/api/organization/invitations", {"email": mate.email, "role": role})
        assert answer.status_code == 201, answer.text
        link = self.world.until(lambda: self._link_for(mate.email, "invitations"), "the invitation", 20)
        mate.browser.open(link)
        mate.browser.open("/accounts/signup/")
        mate.browser.submit({"email": mate.email, "password1": mate.password})
        mate.browser.open(link)
        mate.browser.submit({}, having="invitations")
        return mate

    def _link_for(self, email: str, path: str) -> str:
        for mail in httpx.get(f"{self.world.mail_url}/messages", params={"to": email}, timeout=5).json()[::-1]:
            if found := re.search(rf"https?://\S+/{path}/[^\s>\"]+", mail["text"]):
                return found[0]
        return ""


def sign_up(world: Running, organization: str = "Acme", *, key: bool = True) -> Customer:
    """A new owner of a new organization on Free, with a key for everything."""
    customer = Customer(world, f"owner-{secrets.token_hex(4)}@example.com", secrets.token_urlsafe(15))
    customer.browser.open(f"{world.url}/accounts/signup/")
    customer.browser.submit({"email": customer.email, "password1": customer.password, "organization": organization})
    if key:
        customer.confirm_address()
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
