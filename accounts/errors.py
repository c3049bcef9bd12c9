"""Why identity refuses."""

from contextmcp.common.errors import Conflict, DomainError, NotFound, TemporarilyUnavailable
from contextmcp.common.problems import Forbidden, Unauthenticated

__all__ = [
    "CustomerNotFound",
    "CustomerRequired",
    "EmailNotConfirmed",
    "EnvironmentMismatch",
    "HourlyLimitReached",
    "InsufficientScope",
    "InvalidKeyFormat",
    "InvitationExpired",
    "InvitationNotFound",
    "KeyExpired",
    "KeyLimitReached",
    "KeyNotFound",
    "KeyRevoked",
    "LastOwner",
    "OrganizationLimitReached",
    "PermissionDenied",
    "SeatLimitReached",
    "ServiceKeyRequired",
    "SignInRequired",
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


class SignInRequired(DomainError):
    """An API key tried what only a person may do. Details: `role`, the role that would be given or taken."""

    code = "sign_in_required"
    status = 403
    message = "An API key cannot do this. Sign in and do it on the website."


class ServiceKeyRequired(DomainError):
    """A customer's key or session tried to restate usage."""

    code = "service_key_required"
    status = 403
    message = "Only a service key may report or restate usage. A customer's key may authorize, check and read."


class CustomerRequired(DomainError):
    """A request with a service key did not say for which customer it acts."""

    code = "customer_required"
    status = 422
    message = "Name the customer by credential or by organizationId, and by only one of them."


class CustomerNotFound(NotFound):
    """A request with a service key named an organization that does not exist or is closed."""

    code = "customer_not_found"
    message = "There is no such organization."


class VerificationBusy(TemporarilyUnavailable):
    """The threads that run bcrypt are all taken: the server is overloaded, no limit of the caller's. Details: `retry_after` (seconds)."""

    message = "The server is busy checking API keys. Try again in a moment."


class EmailNotConfirmed(DomainError):
    """This needs a confirmed email address."""

    code = "email_not_confirmed"
    status = 403
    message = "Confirm your email address first: the link is in your mail."


class OrganizationLimitReached(Conflict):
    """The user owns as many organizations as they may. Details: `limit`."""

    code = "organization_limit_reached"
    message = "You own the maximum number of organizations."


class KeyLimitReached(Conflict):
    """The organization has as many active keys as it may have. Details: `limit`, `used`."""

    code = "api_key_limit_reached"
    message = "This organization has the maximum number of active API keys. Revoke one that is no longer used."


class HourlyLimitReached(DomainError):
    """Something that costs others time or attention was done too often. Details: `limit`, `retry_after` (seconds)."""

    code = "rate_limited"
    status = 429
    message = "This was done too often. Try again later."


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
