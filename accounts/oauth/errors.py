"""Refusals of access tokens and of authorization requests."""

from django.utils.translation import gettext_noop as _

from contextmcp.common.errors import Conflict, DomainError


class AccessTokenNotFound(DomainError):
    code = "token_not_found"
    status = 401
    message = "This access token does not exist or was revoked. Sign in again."


class AccessTokenExpired(DomainError):
    """Details: `expired_at`."""

    code = "token_expired"
    status = 401
    message = "This access token has expired. Refresh it or sign in again."


class AccessTokenForOtherResource(DomainError):
    """The token is bound to another MCP server (RFC 8707). Details: `resources`, the addresses that it is bound to."""

    code = "token_for_other_resource"
    status = 401
    message = "This access token was issued for another MCP server. Sign in at this one."


class InvalidAuthorizationRequest(DomainError):
    """The error is shown to the user, because the request has no valid redirect address to send it to (RFC 6749, 4.1.2.1)."""

    code = "invalid_authorization_request"
    status = 400
    message = _("The app sent a request that is not valid.")


class AppDisconnected(Conflict):
    """Staff revoked a grant that has already ended."""

    code = "app_disconnected"
    message = _("This app is already disconnected.")
