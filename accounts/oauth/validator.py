"""The request validator for oauthlib. It overrides the methods of allauth's validator for data that this project stores itself."""

from typing import Any

from allauth.core.internal import httpkit
from allauth.idp.oidc.adapter import get_adapter
from allauth.idp.oidc.internal.oauthlib.request_validator import OAuthLibRequestValidator
from allauth.idp.oidc.internal.resources import InvalidTargetError
from allauth.idp.oidc.models import Client
from oauthlib.common import Request
from oauthlib.oauth2 import InvalidRequestError

from accounts.models import OAuthGrant, OAuthToken

from . import clients, grants, resources, scopes
from .adapter import GRANT_TYPES


class Validator(OAuthLibRequestValidator):  # type: ignore[misc]
    """The validator of one request.

    It keeps the state of the request itself, because oauthlib's `Request` returns client parameters as attributes: a client could send a
    parameter with the name of an attribute.
    """

    def __init__(self, requested_resources: list[str], consent: grants.Consent | None = None) -> None:
        super().__init__()
        self._requested_resources, self._consent = requested_resources, consent
        self._grant: OAuthGrant | None = None
        self._refresh_token: OAuthToken | None = None
        self.access_token: OAuthToken | None = None

    # Clients and what they request

    def _lookup_client(self, request: Request, client_id: Any) -> Client | None:
        return clients.find_client(client_id) if isinstance(client_id, str) else None

    def authenticate_client(self, request: Request, *args: Any, **kwargs: Any) -> bool:
        """Return whether the request has the secret of a confidential client, in the header or in the body (RFC 6749, 2.3.1)."""
        client_id, secret = httpkit.extract_basic_auth(request.headers)
        if client_id is None:
            client_id, secret = request.client_id, request.client_secret
        client = self._lookup_client(request, client_id)
        if client is None or not secret or not clients.has_secret(client, secret):
            return False
        self._use_client(request, client)
        return True

    def validate_redirect_uri(self, client_id: str, redirect_uri: str, request: Request, *args: Any, **kwargs: Any) -> bool:
        return clients.is_registered_redirect(request.client, redirect_uri)

    def validate_response_type(
        self, client_id: str, response_type: str, client: Client, request: Request, *args: Any, **kwargs: Any
    ) -> bool:
        return response_type == "code"

    def validate_grant_type(self, client_id: str, grant_type: str, client: Client, request: Request, *args: Any, **kwargs: Any) -> bool:
        # All clients can use refresh tokens. RFC 7591 registers only authorization_code by default, and users of such a client would
        # otherwise have to sign in every hour.
        return grant_type in GRANT_TYPES

    def validate_scopes(self, client_id: str, scopes_: list[str], client: Client, request: Request, *args: Any, **kwargs: Any) -> bool:
        """Return whether this server supports the scopes. A client can request scopes that it did not register: the user decides."""
        return scopes.SUPPORTED.issuperset(scopes_)

    def get_default_scopes(self, client_id: str, request: Request, *args: Any, **kwargs: Any) -> list[str]:
        return list(scopes.DEFAULT)

    def is_pkce_required(self, client_id: str, request: Request) -> bool:
        """Require PKCE of every client (OAuth 2.1, 7.5.2). `server.check_parameters` checks its values."""
        return True

    def validate_silent_authorization(self, request: Request) -> bool:
        # Each consent creates a separate grant, so the consent page must be shown every time.
        return False

    def validate_user_match(self, id_token_hint: str, scopes_: list[str], claims: Any, request: Request) -> bool:
        if claims and not isinstance(claims, dict):
            raise InvalidRequestError(description="Malformed claims parameter", request=request)
        return bool(super().validate_user_match(id_token_hint, scopes_, claims, request))

    # Authorization codes

    def save_authorization_code(self, client_id: str, code: dict[str, str], request: Request, *args: Any, **kwargs: Any) -> None:
        assert self._consent is not None
        grants.connect(self._consent, code["code"])

    def get_authorization_code_scopes(self, client_id: str, code: str, redirect_uri: str, request: Request) -> list[str]:
        """Return the scopes of the code, before the client is authenticated. They determine whether an ID token is issued."""
        return grants.scopes_of_code(code)

    def validate_code(self, client_id: str, code: str, client: Client, request: Request, *args: Any, **kwargs: Any) -> bool:
        self._grant = grants.find_code(client.pk, code)
        if self._grant is None:
            return False
        request.user, request.scopes = self._grant.membership.user, list(self._grant.scopes)
        return True

    def get_code_challenge(self, code: str, request: Request) -> str | None:
        return None if self._grant is None else self._grant.code_challenge

    def get_code_challenge_method(self, code: str, request: Request) -> str:
        return "S256"

    def confirm_redirect_uri(
        self, client_id: str, code: str, redirect_uri: str, client: Client, request: Request, *args: Any, **kwargs: Any
    ) -> bool:
        return self._grant is not None and redirect_uri == self._grant.redirect_uri

    def get_authorization_code_nonce(self, client_id: str, code: str, redirect_uri: str, request: Request) -> str | None:
        return (self._grant.nonce or None) if self._grant is not None else None

    def invalidate_authorization_code(self, client_id: str, code: str, request: Request, *args: Any, **kwargs: Any) -> None:
        """Do nothing: `save_bearer_token` has marked the code as redeemed."""

    # Tokens

    def validate_refresh_token(self, refresh_token: str, client: Client, request: Request, *args: Any, **kwargs: Any) -> bool:
        self._refresh_token = grants.find_refresh_token(client.pk, refresh_token)
        if self._refresh_token is None:
            return False
        self._grant = self._refresh_token.grant
        request.user = self._grant.membership.user
        return True

    def get_original_scopes(self, refresh_token: str, request: Request, *args: Any, **kwargs: Any) -> list[str]:
        return [] if self._refresh_token is None else list(self._refresh_token.scopes)

    def rotate_refresh_token(self, request: Request) -> bool:
        return True

    def save_bearer_token(self, token: dict[str, Any], request: Request, *args: Any, **kwargs: Any) -> None:
        grant = self._grant
        assert grant is not None
        requested = self._requested_resources or grant.resources
        if not resources.is_within(requested, grant.resources):
            raise InvalidTargetError(request=request)
        issued = grants.NewTokens(token["access_token"], token["refresh_token"], list(request.scopes), requested)
        grants.issue_tokens(grant, issued, replaces=self._refresh_token)

    def revoke_token(self, token: str, token_type_hint: str, request: Request, *args: Any, **kwargs: Any) -> None:
        grants.revoke_token(request.client.pk, token)

    def validate_bearer_token(self, token: str | None, scopes_: list[str], request: Request) -> bool:
        """Accept an access token in the header for the userinfo endpoint."""
        found = grants.find_access_token(token) if token and "Authorization" in request.headers else None
        client = clients.find_client(found.grant.client_id) if found is not None else None
        if found is None or client is None or not set(scopes_).issubset(found.scopes):
            return False
        self.access_token = found
        request.user, request.scopes, request.client = found.grant.membership.user, list(found.scopes), client
        return True

    def get_userinfo_claims(self, request: Request) -> dict[str, Any]:
        claims: dict[str, Any] = get_adapter().get_claims("userinfo", request.user, request.client, request.scopes)
        return claims
