"""A connected app and its access token."""

from accounts.models import Membership, OAuthGrant
from accounts.oauth import grants, resources, token_format


def connect_app(membership: Membership, scopes: tuple[str, ...] = ("usage:write",), server: str = "") -> tuple[OAuthGrant, str]:
    """Return a grant for the MCP server with this name, and an access token of it."""
    addresses = [resources.server_address(server)]
    code, access = token_format.generate(token_format.CODE_PREFIX), token_format.generate(token_format.ACCESS_PREFIX)
    consent = grants.Consent(membership, "client-1", "Test app", list(scopes), addresses, "http://localhost/callback", "x" * 43, "")
    grant = grants.connect(consent, code)
    grants.issue_tokens(grant, grants.NewTokens(access, token_format.generate(token_format.REFRESH_PREFIX), list(scopes), addresses))
    return grant, access
