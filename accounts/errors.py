"""Why identity refuses."""

from contextmcp.common.errors import Conflict, DomainError, NotFound
from contextmcp.common.problems import Forbidden, Unauthenticated

__all__ = [
    "EnvironmentMismatch",
    "InsufficientScope",
    "InvalidKeyFormat",
    "InvitationExpired",
    "InvitationNotFound",
    "KeyExpired",
    "KeyNotFound",
    "KeyRevoked",
    "LastOwner",
    "PermissionDenied",
    "SeatLimitReached",
    "Unauthenticated",
    "VerificationBusy",
]


class InvalidKeyFormat(DomainError):
    code = "invalid_key_format"
    status = 401
    message = "This is not an API key of ours: copy it again, whole."


class KeyNotFound(DomainError):
    code = "key_not_found"
    status = 401
    message = "There is no such API key."


class KeyExpired(DomainError):
    """Details: `expired_at`."""

    code = "key_expired"
    status = 401
    message = "This API key has expired. Make a new one."


class KeyRevoked(DomainError):
    code = "key_revoked"
    status = 401
    message = "This API key was revoked."


class EnvironmentMismatch(DomainError):
    """Details: `expected` and `presented`, each live or test."""

    code = "environment_mismatch"
    status = 401
    message = "This API key is of the other kind: live keys work on live, test keys on test."


class InsufficientScope(DomainError):
    """Details: `required` (a scope) and `scopes` (what the key has)."""

    code = "insufficient_scope"
    status = 403
    message = "This API key lacks the scope for that."


class PermissionDenied(Forbidden):
    """Details, where it is about a permission: `required` and `role`."""


class VerificationBusy(DomainError):
    """Too many keys wait for bcrypt. Details: `retry_after`."""

    code = "rate_limited"
    status = 429
    message = "Too many API keys are being verified at once. Try again in a moment."


class LastOwner(Conflict):
    message = "An organization always has an owner. Make somebody else an owner first."


class InvitationNotFound(NotFound):
    message = "This invitation is not valid. It may have been used or revoked."


class InvitationExpired(Conflict):
    message = "This invitation has expired. Ask for another one."


class SeatLimitReached(DomainError):
    """Details: `feature`, `limit`, `used`."""

    code = "limit_reached"
    status = 429
    message = "Every seat of this plan is taken."
