"""Connecting an app in Chromium: the consent page, the redirect to the app, and the page of connected apps."""

import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlencode

import httpx
import pytest

from tests.support.customers import sign_up
from tests.support.oauth import challenge, redirect_parameters

pytestmark = pytest.mark.browser


class App(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<title>The app</title>")

    def log_message(self, format, *args) -> None:
        """Write nothing."""


@pytest.fixture
def callback():
    """The address of an app on this computer that waits for its user to return."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), App)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/callback"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def member(world):
    ada = sign_up(world, "Analytical Engines and Difference Machines of Marylebone")
    yield ada
    ada.close()


def test_an_app_is_connected_and_disconnected(person, world, member, callback):
    metadata = {
        "client_name": "An assistant with a rather long name for a small screen",
        "redirect_uris": ["http://127.0.0.1/callback"],
    }
    app = httpx.post(f"{world.url}/oauth/register", json=metadata | {"token_endpoint_auth_method": "none"}).json()
    verifier = secrets.token_urlsafe(48)
    fields = {"client_id": app["client_id"], "response_type": "code", "state": "s", "code_challenge": challenge(verifier)}
    fields |= {"code_challenge_method": "S256", "scope": "usage:write email"}
    for scheme in ("dark", "light"):
        visitor = person(scheme=scheme)
        visitor.take_over(member.browser.client.cookies, world.url)
        page = visitor.page
        page.goto(f"{world.url}/oauth/authorize?{urlencode(fields | {'redirect_uri': callback})}")
        assert visitor.problems("consent") == []
    # The content security policy must allow the redirect that follows the form.
    page.get_by_role("button", name="Connect").click()
    page.wait_for_url(f"{callback}*")
    answer = redirect_parameters(page.url)
    exchange = {"grant_type": "authorization_code", "code": answer["code"], "redirect_uri": callback, "client_id": app["client_id"]}
    assert httpx.post(f"{world.url}/oauth/token", data=exchange | {"code_verifier": verifier}).status_code == 200
    page.goto(f"{world.url}/account/apps/")
    assert visitor.problems("connected-apps") == []
    page.locator("details.popover > summary").click()
    page.get_by_role("button", name="Disconnect app").click()
    page.get_by_text("App disconnected.").wait_for()
    assert visitor.failures == []
