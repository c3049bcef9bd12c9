"""The scopes that OAuth clients can request, and those that each role allows."""

from collections.abc import Iterable

from django.utils.translation import gettext_noop as _

from accounts.roles import ROLE_SCOPES

# Scopes of the MCP gateway. They are scopes of API keys too, with the same meaning.
SPENDING = "usage:write"
API_SCOPES = {SPENDING: _("Use the tools of the MCP server. Calls count against the plan of the organization.")}
# Scopes about the user, which every role may grant (OpenID Connect Core, 5.4 and 11).
IDENTITY_SCOPES = {
    "openid": _("Recognize you when you return."),
    "profile": _("See your name."),
    "email": _("See your email address."),
    "offline_access": _("Stay connected until you disconnect it."),
}
DESCRIPTIONS = API_SCOPES | IDENTITY_SCOPES
SUPPORTED = frozenset(DESCRIPTIONS)
# The scopes of requests that name none (RFC 6749, 3.3).
DEFAULT = (SPENDING,)


def allowed(requested: Iterable[str], role: str) -> list[str]:
    """Return the requested scopes that a member with this role may grant, in their order."""
    return [scope for scope in requested if scope in IDENTITY_SCOPES or scope in ROLE_SCOPES[role]]
