"""The adapter of `allauth.idp.oidc`: issuer, secrets, and what a client may register."""

import secrets
from typing import Any

from allauth.idp.oidc.adapter import DefaultOIDCAdapter
from allauth.idp.oidc.models import Client
from django.conf import settings
from django.core.exceptions import ValidationError

from . import clients, scopes

GRANT_TYPES = ("authorization_code", "refresh_token")


class OAuthAdapter(DefaultOIDCAdapter):  # type: ignore[misc]
    def get_issuer(self) -> str:
        """Return PUBLIC_URL. The request's Host header is not used, because a client can forge it."""
        return str(settings.PUBLIC_URL)

    def generate_client_secret(self) -> str:
        """Return a secret of unreserved characters, which does not change when a client URL-encodes it (RFC 6749, 2.3.1)."""
        return secrets.token_urlsafe(32)

    def is_cimd_url_allowed(self, url: str) -> bool:
        return clients.is_document_address(url)

    def validate_client_registration(self, *, client: Client, client_metadata: dict[str, Any], **kwargs: Any) -> None:
        """Reject unsafe redirect addresses, and register the flows and scopes that this server supports (RFC 7591, 2).

        Raises:
            ValidationError: a redirect address is not allowed, or the client does not request the authorization code flow.
        """
        clients.check_redirect_uris(client.get_redirect_uris())
        if "authorization_code" not in client.get_grant_types() or "code" not in client.get_response_types():
            raise ValidationError("Only the grant type authorization_code with the response type code is supported.")
        client.set_grant_types(list(GRANT_TYPES))
        client.set_response_types(["code"])
        requested = client.get_scopes() if client_metadata.get("scope") else []
        client.set_scopes([scope for scope in scopes.DESCRIPTIONS if scope in requested] or list(scopes.DESCRIPTIONS))
        client.name = clients.display_name(client)
