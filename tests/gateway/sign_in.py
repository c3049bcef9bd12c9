"""The official Python client with its own OAuth, and a browser in which its user decides."""

import asyncio
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

REDIRECT = "http://localhost:7777/callback"


class Storage:
    """Stores the registration and the tokens of the client."""

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


class Browser:
    """The browser of a user whose session has this cookie. It allows everything on the consent page."""

    def __init__(self, session: str) -> None:
        self.http = httpx.Client(cookies={"sessionid": session}, timeout=30)
        self.page = ""
        self.answer: dict[str, str] = {}

    async def open(self, url: str) -> None:
        parts = urlsplit(await asyncio.to_thread(self.decide, url))
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == REDIRECT
        self.answer = {name: values[0] for name, values in parse_qs(parts.query).items()}

    async def wait(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult(**{name: self.answer[name] for name in ("code", "state", "iss")})

    def decide(self, url: str) -> str:
        """Allow the app on the consent page. Return the address that the browser is sent to."""
        shown = self.http.get(url)
        assert shown.status_code == 200, shown.text
        self.page = shown.text
        fields = {name: re.search(rf'name="{name}" value="([^"]+)"', shown.text)[1] for name in ("csrfmiddlewaretoken", "organization")}  # type: ignore[index]
        answer = self.http.post(url, data=fields | {"action": "allow"}, headers={"Referer": url})
        assert answer.status_code == 302, answer.text
        location: str = answer.headers["location"]
        return location


def call_with_sign_in(url: str, browser: Browser, tool: str, storage: Storage, document: str | None = None) -> Any:
    """Return the result of a tool call by a client that has no credential before. `document` is its metadata document."""

    async def run() -> Any:
        metadata = OAuthClientMetadata(redirect_uris=[REDIRECT], client_name="Official client", token_endpoint_auth_method="none")  # type: ignore[list-item]
        provider = OAuthClientProvider(url, metadata, storage, browser.open, browser.wait, client_metadata_url=document)
        async with httpx2.AsyncClient(auth=provider, timeout=30) as http, Client(streamable_http_client(url, http_client=http)) as client:
            return await client.call_tool(tool)

    return asyncio.run(run())
