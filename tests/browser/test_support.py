"""Questions of support, finance and engineering, answered from the search box as docs/support.md says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, TimeoutError

from contextmcp.devstack.services import REPOSITORY
from tests.browser.conftest import Visitor, sign_in_as_staff

pytestmark = pytest.mark.browser
MAX_CLICKS = 5
DOCUMENT = REPOSITORY / "docs" / "support.md"
JOURNEYS: dict[str, Callable[[Desk], None]] = {}


@pytest.fixture(scope="module")
def cases(world):
    """The identifiers of the customers in `tests/support/support_cases.py`."""
    environment = {**world.world.environment, "CONTEXTMCP_ADMIN_EMAIL": world.world.admin_email}
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.support_cases"]
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def staff_page(world, chromium_browser):
    """The page of one member of staff who answers all questions."""
    visitor = Visitor(chromium_browser)
    sign_in_as_staff(visitor, world)
    yield visitor.page
    visitor.context.close()


class Desk:
    """The home page of the admin. Counts clicks: opening, choosing, ticking and submitting. Typing is free."""

    def __init__(self, page: Page, url: str, cases: dict[str, Any]) -> None:
        self.page, self.cases, self.clicks = page, cases, 0
        page.goto(f"{url}/admin/")

    def search(self, text: str) -> None:
        """Submit the search box and wait for all sections of the page that it opens."""
        self.page.locator("#staff-search-text").fill(text)
        self.clicks += 1
        self.page.locator("#staff-search-text").press("Enter")
        self.page.wait_for_url(re.compile("/change/|/find/"))
        if "/accounts/organization/" in self.page.url:
            self.page.locator("article#emails").wait_for()

    def click(self, target: Locator) -> None:
        self.clicks += 1
        target.first.click()

    def link(self, name: str, *, within: str = "body") -> None:
        self.click(self.page.locator(within).get_by_role("link", name=name, exact=True))

    def button(self, name: str) -> None:
        self.click(self.page.locator("#content").get_by_role("button", name=name))

    def type(self, label: str, text: str) -> None:
        self.page.locator("#content").get_by_label(label).fill(text)

    def choose(self, label: str, option: str) -> None:
        self.clicks += 1
        self.page.locator("#content").get_by_label(label).select_option(label=option)

    def action(self, title: str, **typed: str) -> None:
        """Open an action from the menu of the organization's page, and perform it."""
        self.click(self.page.locator("summary", has_text="Actions"))
        self.link(title, within=".organization-actions")
        self.perform(title, **typed)

    def perform(self, title: str, **typed: str) -> None:
        """Fill in the open form of an action, preview and confirm it."""
        for label, text in typed.items():
            self.type(label.replace("_", " "), text)
        self.type("Reason", "Ticket 7") if title != "Refund a payment" else self.page.locator("#id_reason").fill("Ticket 7")
        self.button("Preview")
        self.button(f"{title}: ")

    def reads(self, *texts: str, within: str = "#content") -> None:
        """Check that the page shows the texts."""
        shown = self.page.locator(within).first
        # The page may still be loading. What is missing is reported with the text below.
        with suppress(TimeoutError):
            shown.filter(has_text=texts[0]).wait_for(timeout=5_000)
        text = " ".join(shown.inner_text().split())
        missing = [each for each in texts if each not in text]
        assert not missing, f"{missing} not in: {text[:3000]}"

    def message(self, text: str) -> None:
        self.page.get_by_text(text).first.wait_for()


def journey(question: str) -> Callable[[Callable[[Desk], None]], Callable[[Desk], None]]:
    """Register the journey that answers a question of the document."""

    def register(steps: Callable[[Desk], None]) -> Callable[[Desk], None]:
        assert question not in JOURNEYS
        JOURNEYS[question] = steps
        return steps

    return register


@journey("Why was this customer refused at 10:31 yesterday?")
def _(desk):
    desk.search("nancy@northwind.example")
    minute = datetime.fromisoformat(desk.cases["minute"])
    desk.reads(f"{minute:%b %-d, %Y, 10:31} UTC", "rate_limited", "search_notes", "17", within="#refusals")


@journey("Which plan does the customer have, and why?")
def _(desk):
    desk.search("Northwind")
    desk.reads("Pro (version 1)", "Granted by", "Partner contract 7", within="#plan")


@journey("How much of a limit is left, and when does it reset?")
def _(desk):
    desk.search("Northwind")
    desk.reads("Sessions", "1,000", "42", "958", "UTC", within="#limits")


@journey("Who invited whom?")
def _(desk):
    desk.search("Northwind")
    desk.reads("ingrid@northwind.example", "nancy@northwind.example", "Expired", within="#invitations")


@journey("What did staff change, when and why?")
def _(desk):
    desk.search("Northwind")
    desk.reads("Ticket 4711", within="#timeline")
    desk.reads("40", "Ticket 4711", within="#overrides")


@journey("The invitation has expired: send it again.")
def _(desk):
    desk.search("Northwind")
    desk.link("Resend", within="#invitations")
    desk.perform("Resend an invitation")
    desk.message("The invitation was sent to ingrid@northwind.example again.")


@journey("Change the role of a member.")
def _(desk):
    desk.search("adam@northwind.example")
    desk.link("admin", within="#members")
    desk.choose("New role", "Viewer")
    desk.perform("Change a member's role")
    desk.message("is now a viewer.")


@journey("Transfer the ownership to another member.")
def _(desk):
    desk.search("Tailspin")
    desk.action("Transfer ownership")
    desk.message("is now the owner.")


@journey("The customer's email address has changed.")
def _(desk):
    desk.search("liz@litware.example")
    desk.action("Change a member's email address", New_email_address="elizabeth@litware.example")
    desk.message("is now elizabeth@litware.example.")


@journey("An API key leaked: find it by the pasted text and revoke it.")
def _(desk):
    desk.search(desk.cases["leaked"])
    desk.button("Revoke the key")
    desk.type("Reason", "Ticket 7")
    desk.button("Revoke the key")
    desk.message("1 key revoked.")


@journey("Which API key uses the most?")
def _(desk):
    desk.search("Northwind")
    desk.reads("Production", "40", "Staging", within="#usage-by-key")


@journey("Which apps are connected?")
def _(desk):
    desk.search("Northwind")
    desk.reads("Test app", "nancy@northwind.example", "Connected", within="#apps")


@journey("An email never arrived: find it and send it again.")
def _(desk):
    desk.search("nancy@northwind.example")
    desk.reads("80% of your sessions are used", "The mailbox is full", within="#emails")
    desk.link("80% of your sessions are used", within="#emails")
    desk.button("Send again now")
    desk.type("Reason", "Ticket 7")
    desk.button("Send again now")
    desk.message("1 message queued.")


@journey("Override a limit until a date.")
def _(desk):
    desk.search("Contoso")
    desk.link("Override", within="#limits")
    desk.type("Value", "75")
    until = datetime.now(UTC) + timedelta(days=30)
    desk.perform("Override a limit", Until=f"{until:%Y-%m-%d}")
    desk.message("was overridden until")


@journey("Close an organization.")
def _(desk):
    desk.search("Wingtip")
    desk.action("Close the organization")
    desk.message("Wingtip was closed.")


@journey("Reopen a closed organization.")
def _(desk):
    desk.search("Proseware")
    desk.action("Reopen the organization")
    desk.message("was reopened")


@journey("Why was the customer billed this amount?")
def _(desk):
    desk.search("ada@adventure.example")
    desk.reads(desk.cases["invoice"], "$9.00", "paid", "Pro", within="#invoices")


@journey("Where is the invoice's PDF and its page for the customer?")
def _(desk):
    desk.search(desk.cases["invoice"])
    desk.reads("Hosted page", "Paid at")


@journey("The card failed: how often, and what happens next?")
def _(desk):
    desk.search("Fabrikam")
    desk.reads("failed attempts", "next attempt", "$9.00", within="#invoices")
    desk.reads("A payment has been overdue since", "Access ends", within=".organization-attention")


@journey("Give a month free.")
def _(desk):
    desk.search("Adventure Works")
    desk.action("Add free days or extend the trial", Days="30")
    desk.message("The next payment is due on")


@journey("The trial was meant to be longer.")
def _(desk):
    desk.search("Contoso")
    desk.action("Add free days or extend the trial", Days="14")
    desk.message("The next payment is due on")


@journey("Refund half of an invoice.")
def _(desk):
    desk.search("Adventure Works")
    desk.link("Refund", within="#invoices")
    desk.perform("Refund a payment", Amount="4.50")
    desk.message("$4.50 of invoice")


@journey("A Stripe event was not processed: replay it.")
def _(desk):
    desk.search(desk.cases["event"])
    desk.reads("no answer within 10 s")
    desk.button("Replay events")
    desk.type("Reason", "Ticket 7")
    desk.button("Replay events")
    desk.message("1 event queued.")


@journey("Is the state here the same as at Stripe?")
def _(desk):
    desk.search(desk.cases["customer"])
    desk.button("Compare with Stripe now")
    desk.reads("Comparison with Stripe", "Nothing was changed.")


@journey("The state differs from Stripe: sync it.")
def _(desk):
    desk.search(desk.cases["customer"])
    desk.action("Sync from Stripe")
    desk.message("repaired.")


@journey("Is the customer's webhook endpoint failing?")
def _(desk):
    desk.search("Northwind")
    desk.reads("https://hooks.northwind.example/usage", "Failing", "timeout", within="#webhooks")


@journey("Who is on an old version of a plan?")
def _(desk):
    desk.click(desk.page.locator("a[href$='/admin/plans/']"))
    desk.click(desk.page.locator("section[aria-labelledby=plan-pro] tbody a", has_text="past due"))
    desk.reads("Fabrikam", "pro v1")


@pytest.fixture
def desk(staff_page, world, cases):
    return Desk(staff_page, world.url, cases)


def documented() -> dict[str, int]:
    """Return the questions of the document with their numbers of clicks."""
    rows = re.findall(r"^\| ([^|]+) \| (\d+): [^|]+ \| [^|]+ \|$", DOCUMENT.read_text(), re.MULTILINE)
    return {question: int(clicks) for question, clicks in rows}


@pytest.mark.parametrize("question", JOURNEYS)
def test_staff_find_the_answer_with_the_documented_clicks(desk, question):
    JOURNEYS[question](desk)
    assert desk.clicks <= MAX_CLICKS
    assert desk.clicks == documented().get(question)


def test_the_document_has_a_journey_for_each_question():
    assert list(documented()) == list(JOURNEYS)
