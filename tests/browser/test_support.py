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
JOURNEYS: dict[str, Callable[[BackOffice], None]] = {}


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


class BackOffice:
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


def journey(question: str) -> Callable[[Callable[[BackOffice], None]], Callable[[BackOffice], None]]:
    """Register the journey that answers a question of the document."""

    def register(steps: Callable[[BackOffice], None]) -> Callable[[BackOffice], None]:
        assert question not in JOURNEYS
        JOURNEYS[question] = steps
        return steps

    return register


@journey("Why was this customer refused at 10:31 yesterday?")
def _(back_office):
    back_office.search("nancy@northwind.example")
    minute = datetime.fromisoformat(back_office.cases["minute"])
    back_office.reads(f"{minute:%b %-d, %Y, 10:31} UTC", "rate_limited", "search_notes", "17", within="#refusals")


@journey("Which plan does the customer have, and why?")
def _(back_office):
    back_office.search("Northwind")
    back_office.reads("Pro (version 1)", "Granted by", "Partner contract 7", within="#plan")


@journey("How much of a limit is left, and when does it reset?")
def _(back_office):
    back_office.search("Northwind")
    back_office.reads("Sessions", "1,000", "42", "958", "UTC", within="#limits")


@journey("Who invited whom?")
def _(back_office):
    back_office.search("Northwind")
    back_office.reads("ingrid@northwind.example", "nancy@northwind.example", "Expired", within="#invitations")


@journey("What did staff change, when and why?")
def _(back_office):
    back_office.search("Northwind")
    back_office.reads("Ticket 4711", within="#timeline")
    back_office.reads("40", "Ticket 4711", within="#overrides")


@journey("The invitation has expired: send it again.")
def _(back_office):
    back_office.search("Northwind")
    back_office.link("Resend", within="#invitations")
    back_office.perform("Resend an invitation")
    back_office.message("The invitation was sent to ingrid@northwind.example again.")


@journey("Change the role of a member.")
def _(back_office):
    back_office.search("adam@northwind.example")
    back_office.link("admin", within="#members")
    back_office.choose("New role", "Viewer")
    back_office.perform("Change a member's role")
    back_office.message("is now a viewer.")


@journey("Transfer the ownership to another member.")
def _(back_office):
    back_office.search("Tailspin")
    back_office.action("Transfer ownership")
    back_office.message("is now the owner.")


@journey("The customer's email address has changed.")
def _(back_office):
    back_office.search("liz@litware.example")
    back_office.action("Change a member's email address", New_email_address="elizabeth@litware.example")
    back_office.message("is now elizabeth@litware.example.")


@journey("An API key leaked: find it by the pasted text and revoke it.")
def _(back_office):
    back_office.search(back_office.cases["leaked"])
    back_office.button("Revoke the key")
    back_office.type("Reason", "Ticket 7")
    back_office.button("Revoke the key")
    back_office.message("1 key revoked.")


@journey("Which API key uses the most?")
def _(back_office):
    back_office.search("Northwind")
    back_office.reads("Production", "40", "Staging", within="#usage-by-key")


@journey("Which apps are connected?")
def _(back_office):
    back_office.search("Northwind")
    back_office.reads("Test app", "nancy@northwind.example", "Connected", within="#apps")


@journey("An email never arrived: find it and send it again.")
def _(back_office):
    back_office.search("nancy@northwind.example")
    back_office.reads("80% of your sessions are used", "The mailbox is full", within="#emails")
    back_office.link("80% of your sessions are used", within="#emails")
    back_office.button("Send again now")
    back_office.type("Reason", "Ticket 7")
    back_office.button("Send again now")
    back_office.message("1 message queued.")


@journey("Override a limit until a date.")
def _(back_office):
    back_office.search("Contoso")
    back_office.link("Override", within="#limits")
    back_office.type("Value", "75")
    until = datetime.now(UTC) + timedelta(days=30)
    back_office.perform("Override a limit", Until=f"{until:%Y-%m-%d}")
    back_office.message("was overridden until")


@journey("Close an organization.")
def _(back_office):
    back_office.search("Wingtip")
    back_office.action("Close the organization")
    back_office.message("Wingtip was closed.")


@journey("Reopen a closed organization.")
def _(back_office):
    back_office.search("Proseware")
    back_office.action("Reopen the organization")
    back_office.message("was reopened")


@journey("Why was the customer billed this amount?")
def _(back_office):
    back_office.search("ada@adventure.example")
    back_office.reads(back_office.cases["invoice"], "$9.00", "paid", "Pro", within="#invoices")


@journey("Where is the invoice's PDF and its page for the customer?")
def _(back_office):
    back_office.search(back_office.cases["invoice"])
    back_office.reads("Hosted page", "Paid at")


@journey("The card failed: how often, and what happens next?")
def _(back_office):
    back_office.search("Fabrikam")
    back_office.reads("failed attempts", "next attempt", "$9.00", within="#invoices")
    back_office.reads("A payment has been overdue since", "Access ends", within=".organization-attention")


@journey("Give a month free.")
def _(back_office):
    back_office.search("Adventure Works")
    back_office.action("Add free days or extend the trial", Days="30")
    back_office.message("The next payment is due on")


@journey("The trial was meant to be longer.")
def _(back_office):
    back_office.search("Contoso")
    back_office.action("Add free days or extend the trial", Days="14")
    back_office.message("The next payment is due on")


@journey("Refund half of an invoice.")
def _(back_office):
    back_office.search("Adventure Works")
    back_office.link("Refund", within="#invoices")
    back_office.perform("Refund a payment", Amount="4.50")
    back_office.message("$4.50 of invoice")


@journey("A Stripe event was not processed: replay it.")
def _(back_office):
    back_office.search(back_office.cases["event"])
    back_office.reads("no answer within 10 s")
    back_office.button("Replay events")
    back_office.type("Reason", "Ticket 7")
    back_office.button("Replay events")
    back_office.message("1 event queued.")


@journey("Is the state here the same as at Stripe?")
def _(back_office):
    back_office.search(back_office.cases["customer"])
    back_office.button("Compare with Stripe now")
    back_office.reads("Comparison with Stripe", "Nothing was changed.")


@journey("The state differs from Stripe: sync it.")
def _(back_office):
    back_office.search(back_office.cases["customer"])
    back_office.action("Sync from Stripe")
    back_office.message("repaired.")


@journey("Is the customer's webhook endpoint failing?")
def _(back_office):
    back_office.search("Northwind")
    back_office.reads("https://hooks.northwind.example/usage", "Failing", "timeout", within="#webhooks")


@journey("Who is on an old version of a plan?")
def _(back_office):
    back_office.click(back_office.page.locator("a[href$='/admin/plans/']"))
    back_office.click(back_office.page.locator("section[aria-labelledby=plan-pro] tbody a", has_text="past due"))
    back_office.reads("Fabrikam", "pro v1")


@pytest.fixture
def back_office(staff_page, world, cases):
    return BackOffice(staff_page, world.url, cases)


def documented() -> dict[str, int]:
    """Return the questions of the document with their numbers of clicks."""
    rows = re.findall(r"^\| ([^|]+) \| (\d+): [^|]+ \| [^|]+ \|$", DOCUMENT.read_text(), re.MULTILINE)
    return {question: int(clicks) for question, clicks in rows}


@pytest.mark.parametrize("question", JOURNEYS)
def test_staff_find_the_answer_with_the_documented_clicks(back_office, question):
    JOURNEYS[question](back_office)
    assert back_office.clicks <= MAX_CLICKS
    assert back_office.clicks == documented().get(question)


def test_the_document_has_a_journey_for_each_question():
    assert list(documented()) == list(JOURNEYS)
