"""A real Chromium, and pages that report errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright

from contextmcp.devstack.services import default_home
from tests.plugin_services import chromium

if TYPE_CHECKING:
    from tests.support.stacks import Running

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDE, NARROW = 1280, 390
# Text that a scroll box or an ellipsis hides does not count; elements that make the page itself wider do.
OVERFLOW = """() => {
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= wide) return [];
  const outside = [...document.body.querySelectorAll("*")].filter((each) => each.getBoundingClientRect().right > wide + 1);
  return outside.slice(0, 5).map((each) => each.outerHTML.slice(0, 160)).concat(`${document.documentElement.scrollWidth} > ${wide}`);
}"""


@pytest.fixture(scope="module")
def chromium_browser() -> Iterator[Browser]:
    """The scope is the module: while the event loop runs in this thread, Django refuses database access to other tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def person(chromium_browser: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[..., Visitor]]:
    """`person(scheme="dark")` opens a browser without cookies."""
    sitting: list[Visitor] = []

    def sit_down(**options: Any) -> Visitor:
        sitting.append(Visitor(chromium_browser, **options))
        return sitting[-1]

    yield sit_down
    for each in sitting:
        each.context.close()


def sign_in_as_staff(visitor: Visitor, world: Running, path: str = "/admin/") -> None:
    """Sign in as the superuser of the shared stack and wait for the page at `path`."""
    page = visitor.page
    page.goto(f"{world.url}/accounts/login/?next={path}")
    page.get_by_label("Email").fill(world.world.admin_email)
    page.get_by_label("Password").fill(world.world.admin_password)
    page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(f"{world.url}{path}")


@pytest.fixture(scope="module")
def staff_cookies(chromium_browser: Browser, world: Running) -> list[Any]:
    """The cookies of a session of staff, which signs in once for all tests of a file."""
    visitor = Visitor(chromium_browser)
    sign_in_as_staff(visitor, world)
    cookies = visitor.context.cookies()
    visitor.context.close()
    return list(cookies)


@pytest.fixture
def operator(person: Callable[..., Visitor], staff_cookies: list[Any]) -> Callable[..., Visitor]:
    """`operator(scheme="dark")` opens a browser in which staff are signed in."""

    def sit_down(**options: Any) -> Visitor:
        visitor = person(**options)
        visitor.context.add_cookies(staff_cookies)
        return visitor

    return sit_down


class Visitor:
    """A page in its own context. `failures` collects the browser's errors."""

    def __init__(self, browser: Browser, *, width: int = WIDE, scheme: str = "light") -> None:
        options: dict[str, Any] = {"color_scheme": scheme, "reduced_motion": "reduce"}
        self.context: BrowserContext = browser.new_context(viewport={"width": width, "height": 900}, **options)
        self.context.set_default_timeout(15_000)
        self.scheme = scheme
        self.page: Page = self.context.new_page()
        self.failures: list[str] = []
        self.page.on("console", lambda message: self._complain(message.type, message.text))
        self.page.on("pageerror", lambda error: self.failures.append(f"script: {error}"))
        self.page.on("requestfailed", self._note_failure)

    def _note_failure(self, request: Request) -> None:
        # The browser itself cancels what it still loads when the visitor goes to another page.
        if request.failure != "net::ERR_ABORTED":
            self.failures.append(f"failed: {request.url} {request.failure}")

    def _complain(self, kind: str, text: str) -> None:
        # The status of a refused form is expected, and its error is on the page.
        if kind in {"error", "warning"} and "status of 402" not in text:
            self.failures.append(f"{self.page.url} {kind}: {text}")

    def take_over(self, cookies: Any, url: str) -> None:
        """Take over the session of a client that signed in without a browser."""
        self.context.add_cookies([{"name": each.name, "value": each.value, "url": url} for each in cookies.jar if each.value])

    def resize(self, width: int) -> None:
        self.page.set_viewport_size({"width": width, "height": 900})

    def overflow(self) -> list[str]:
        result: list[str] = self.page.evaluate(OVERFLOW)
        return result

    def barriers(self) -> list[str]:
        """Return axe's serious and critical violations with their elements."""
        result = Axe().run(self.page).response["violations"]
        return [
            f"{each['id']} at {node['target']}: {node['failureSummary']}"
            for each in result
            if each["impact"] in {"serious", "critical"}
            for node in each["nodes"][:3]
        ]

    def problems(self, name: str) -> list[str]:
        """Return what is wrong with the page at both widths. Axe checks the wide light page and the narrow dark one."""
        result = []
        for width in (WIDE, NARROW):
            self.resize(width)
            result += [f"{name} at {width}: sticks out: {each}" for each in self.overflow()]
            if (width == WIDE) == (self.scheme == "light"):
                result += [f"{name} at {width}: {each}" for each in self.barriers()]
            self.shoot(name)
        return result

    def shoot(self, name: str, *, whole: bool = True) -> None:
        """Save a screenshot in the home directory for manual inspection, if CONTEXTMCP_SCREENSHOTS is set.

        No test looks at it, and it takes Chromium more time than rendering the page.
        """
        if "CONTEXTMCP_SCREENSHOTS" not in os.environ:
            return
        path = default_home() / "screenshots" / f"{name}-{self.page.viewport_size['width']}-{self.scheme}.png"  # type: ignore[index]
        self.page.screenshot(path=path, full_page=whole)
