"""An OAuth client and its user's browser, over Django's test client or a real server."""

import base64
import hashlib
import json
import re
import secrets
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from django.conf import settings
from django.test import Client

REDIRECT = "http://localhost/callback"


def challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def browser_of(person: Any) -> Client:
    """Return the browser of a member who is signed in."""
    client = Client()
    client.force_login(person.user)
    return client


class App:
    """A public client. `browser` is the signed-in user's. It registers itself, unless `id` is the address of its metadata document."""

    def __init__(self, browser: Client | None = None, redirect_uri: str = REDIRECT, id: str = "", **metadata: Any) -> None:
        self.browser, self.http, self.redirect_uri, self.id = browser, Client(), redirect_uri, id
        self.verifier = secrets.token_urlsafe(48)
        if not id:
            self.register(metadata)

    def register(self, metadata: dict[str, Any]) -> None:
        redirect_uri = self.redirect_uri
        fields = {"client_name": "Test app", "redirect_uris": [redirect_uri], "token_endpoint_auth_method": "none", **metadata}
        answer = self.http.post("/oauth/register", json.dumps(fields), content_type="application/json")
        assert answer.status_code == 201, answer.content
        self.registration = answer.json()
        self.id = self.registration["client_id"]

    def address(self, **parameters: Any) -> str:
        """Return the address of an authorization request. A parameter that is None is left out."""
        fields = {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": self.redirect_uri,
            "state": "state-1",
            "scope": "usage:write",
            "code_challenge": challenge(self.verifier),
            "code_challenge_method": "S256",
            "resource": settings.MCP_SERVER_URL,
            **parameters,
        }
        return f"/oauth/authorize?{urlencode({name: value for name, value in fields.items() if value is not None}, doseq=True)}"

    def consent(self, organization: object = None, action: str = "allow", **parameters: Any) -> dict[str, str]:
        """Decide on the consent page. Return the parameters of the redirect to the app."""
        assert self.browser is not None
        page = self.browser.get(self.address(**parameters))
        assert page.status_code == 200, (page.status_code, page.content)
        chosen = organization or re.search(r'name="organization" value="([^"]+)"', page.content.decode())[1]  # type: ignore[index]
        answer = self.browser.post(self.address(**parameters), {"organization": str(chosen), "action": action})
        assert answer.status_code == 302, answer.content
        return redirect_parameters(answer["Location"])

    def exchange(self, code: str, **parameters: Any) -> Any:
        """Exchange a code. Return the answer."""
        fields = {"code": code, "redirect_uri": self.redirect_uri, "code_verifier": self.verifier, **parameters}
        return self.token(grant_type="authorization_code", **fields)

    def refresh(self, token: str, **parameters: Any) -> Any:
        return self.token(grant_type="refresh_token", refresh_token=token, **parameters)

    def token(self, **fields: Any) -> Any:
        return self.http.post("/oauth/token", {"client_id": self.id, **fields})

    def connect(self, organization: object = None, **parameters: Any) -> dict[str, Any]:
        """Connect the app. Return its tokens."""
        answer = self.exchange(self.consent(organization, **parameters)["code"])
        assert answer.status_code == 200, answer.content
        tokens: dict[str, Any] = answer.json()
        return tokens


def redirect_parameters(location: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
