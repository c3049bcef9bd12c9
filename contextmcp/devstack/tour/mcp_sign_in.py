"""Chapter about MCP clients without a key, whose users sign in with OAuth 2.1."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from .context import Journey
from .mcp_tools import CHARGED, text_of
from .report import TIMEOUT_SECONDS, Report, eventually, expect

# The address at which an installed client would wait for its user to return. The tour reads the address instead of opening it.
CALLBACK = "http://localhost:7777/callback"
CLIENT_NAME = "Tour"


class Storage:
    """The client's storage of its registration and its tokens."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class SignIn:
    """The user's browser, in which the user signs in and from which the client receives a code."""

    def __init__(self, journey: Journey) -> None:
        self._browser = journey.browser
        self._answer: dict[str, str] = {}

    async def open(self, url: str) -> None:
        await asyncio.to_thread(self._allow, url)

    async def wait(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult(**{name: self._answer[name] for name in ("code", "state", "iss")})

    def _allow(self, url: str) -> None:
        self._browser.open(url)
        expect(CLIENT_NAME in self._browser.html, f"the page at {self._browser.address} does not name the client")
        location = self._browser.submit({}, press="allow", follow=False).headers.get("location", "")
        expect(location.startswith(CALLBACK), f"the user was sent to {location}")
        self._answer = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def sign_in(journey: Journey, report: Report) -> bool:
    url = journey.mcp_configuration["url"]
    storage = Storage()

    async def connect() -> str:
        metadata = OAuthClientMetadata(redirect_uris=[AnyUrl(CALLBACK)], client_name=CLIENT_NAME, token_endpoint_auth_method="none")
        browser = SignIn(journey)
        provider = OAuthClientProvider(url, metadata, storage, browser.open, browser.wait)
        http = httpx2.AsyncClient(auth=provider, timeout=TIMEOUT_SECONDS)
        async with http, Client(streamable_http_client(url, http_client=http), read_timeout_seconds=TIMEOUT_SECONDS) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            if journey.world.notes_port is None:
                return ", ".join(tools)
            result = await client.call_tool(*CHARGED)
            expect(not result.is_error, f"the call was refused: {text_of(result)}")
            return f"{CHARGED[0]}: {text_of(result).splitlines()[0]}"

    def connects() -> str:
        outcome = asyncio.run(connect())
        assert storage.tokens
        return f"registered, allowed by {journey.email} on the consent page, scope {storage.tokens.scope}\n{outcome}"

    def disconnects() -> str:
        journey.browser.open(f"{journey.world.url}/account/apps/")
        journey.browser.submit({}, having="/disconnect/")
        assert storage.tokens
        headers = {"Authorization": f"Bearer {storage.tokens.access_token}", "Accept": "application/json, text/event-stream"}

        def refused() -> httpx2.Response | None:
            answer = httpx2.post(url, json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers=headers, timeout=TIMEOUT_SECONDS)
            return answer if answer.status_code == 401 else None

        answer = eventually(refused, what="the token of the disconnected app is refused")
        return f"401, {answer.headers['www-authenticate']}"

    return report.step("a client without a key signs its user in, and calls a tool", connects) and report.step(
        "the user disconnects it: its token is refused", disconnects
    )
