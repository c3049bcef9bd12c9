"""Access tokens that the vendor's MCP server received and passes as the `credential` of a request with its service key.

A client also uses OAuth to connect to a server that has no gateway in front. That server asks this service to which member the token
belongs, and reports usage for that member.
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

# Scopes that a service key has for any organization. No OAuth client can request them.
READING = frozenset({"usage:read", "entitlements:read"})


def check_token(principal: Principal | DomainError) -> TokenPrincipal:
    """Return the principal with its permissions through a service key. The caller must still apply the key's own scopes.

    Raises:
        DomainError: the refusal of the token, which is passed as `principal`, or the one of a token for another server.
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
    """Return the member whose access token it is, for a request with a service key. Blocks.

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
