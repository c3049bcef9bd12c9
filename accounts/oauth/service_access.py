"""Access tokens that an MCP server of the vendor received and passes as the `credential` of a request with its service key.

Clients can also use OAuth with an MCP server that is not behind the gateway. That server sends the token to this service, which finds the
member to whom the token belongs and records the usage for that member.
"""

from dataclasses import replace

from django.conf import settings

from accounts.errors import PermissionDenied
from accounts.models import Membership
from accounts.principal_cache import MISS
from accounts.types import Caller, Principal
from contextmcp.common.errors import DomainError

from . import resources
from .errors import AccessTokenForOtherResource, AccessTokenNotFound
from .token_cache import TokenPrincipal, tokens

# Scopes that a service key can use for any organization. No OAuth client can request them.
READING = frozenset({"usage:read", "entitlements:read"})


def check_token(principal: Principal | DomainError) -> TokenPrincipal:
    """Return the principal of a token that a request with a service key contains. The caller must still apply the scopes of the key.

    Raises:
        DomainError: `principal`, if it is a refusal of the token.
        AccessTokenNotFound, AccessTokenForOtherResource: OAuth is disabled, or the token is bound to one server behind the gateway.
    """
    if isinstance(principal, DomainError):
        raise principal
    assert isinstance(principal, TokenPrincipal)
    if not settings.OAUTH_ENABLED:
        raise AccessTokenNotFound
    if not resources.covers(principal.resources, ""):
        raise AccessTokenForOtherResource(resources=sorted(principal.resources))
    return replace(principal, key_scopes=principal.key_scopes | READING, scopes=principal.scopes | READING)


def caller_of_token(raw: str) -> Caller:
    """Return the member to whom an access token in a request with a service key belongs. Blocks.

    Raises:
        AccessTokenNotFound, AccessTokenExpired, AccessTokenForOtherResource: the token is not accepted.
        PermissionDenied: its user is no longer a member.
    """
    known = tokens.get(raw)
    principal = check_token(tokens.load(raw) if known is MISS else known)
    membership = Membership.objects.select_related("organization", "user").filter(pk=principal.membership_id).first()
    if membership is None:
        raise PermissionDenied("This user is no longer a member of the organization.")
    return replace(Caller.member(membership), scopes=principal.scopes, grant_id=principal.key_id)
