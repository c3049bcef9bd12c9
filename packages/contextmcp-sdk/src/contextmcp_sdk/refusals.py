"""The refusals of the API: one class for each code. The product's tests compare the codes with its own."""

from __future__ import annotations

from typing import ClassVar

from .errors import Refusal


# Refusals by the plan, a quota or a rate limit, which a customer can resolve.
class QuotaExceeded(Refusal):
    """The amount exceeds the remaining monthly quota."""

    code = "quota_exceeded"
    message: ClassVar[str] = "You have used all of your plan's quota for this period."


class LimitReached(Refusal):
    """The amount in use would exceed the plan's limit. Release units or buy a larger plan."""

    code = "limit_reached"


class RateLimited(Refusal):
    """Too many calls within the window of a rate limit. `retry_after` says when the next one may succeed."""

    code = "rate_limited"
    message: ClassVar[str] = "Rate limit exceeded. Retry later."


class OverageCapReached(Refusal):
    """The amount exceeds the quota and the monthly cap for overage that the customer has set."""

    code = "overage_cap_reached"


class FeatureNotAvailable(Refusal):
    """The plan does not include the feature. `problem["availableIn"]` names a plan that does."""

    code = "feature_not_available"
    message: ClassVar[str] = "Your plan does not include this feature."


class PlanInactive(Refusal):
    """The organization is closed."""

    code = "plan_inactive"
    message: ClassVar[str] = "This organization is closed, so it has no plan."


class PaymentRequired(Refusal):
    """A payment failed, and the grace period has ended. `upgrade_url` is the page where it can be paid."""

    code = "payment_required"


class ToolNotAvailable(Refusal):
    """The pricing file denies the tool to all callers."""

    code = "tool_not_available"
    message: ClassVar[str] = "This tool is not available."


# The credential is missing or not accepted.
class CredentialsMissing(Refusal):
    """The request has no credential."""

    code = "credentials_missing"


class InvalidKeyFormat(Refusal):
    """The key is malformed."""

    code = "invalid_key_format"


class KeyNotFound(Refusal):
    """The key does not exist."""

    code = "key_not_found"


class KeyExpired(Refusal):
    """The key has expired."""

    code = "key_expired"


class KeyRevoked(Refusal):
    """The key was revoked."""

    code = "key_revoked"


class TokenNotFound(Refusal):
    """The access token does not exist or was revoked."""

    code = "token_not_found"


class TokenExpired(Refusal):
    """The access token has expired."""

    code = "token_expired"


class TokenForOtherResource(Refusal):
    """The access token was issued for another MCP server."""

    code = "token_for_other_resource"


class EnvironmentMismatch(Refusal):
    """The key is a test key on a live service, or a live key on a test service."""

    code = "environment_mismatch"


class InsufficientScope(Refusal):
    """The key lacks the scope that `problem["required"]` names."""

    code = "insufficient_scope"


class PermissionDenied(Refusal):
    """The role of the key's creator does not allow the request."""

    code = "permission_denied"


class ReauthenticationRequired(Refusal):
    """A session is too old for a sensitive change. Requests with API keys are not affected."""

    code = "reauthentication_required"


class ServiceKeyRequired(Refusal):
    """Only a service key may report usage or end holds."""

    code = "service_key_required"


class CustomerRequired(Refusal):
    """A request with a service key has to name the customer."""

    code = "customer_required"


class CustomerNotFound(Refusal):
    """The organization does not exist or is closed."""

    code = "customer_not_found"


# The object that the request names does not allow it: it is missing, or in another state.
class NotFound(Refusal):
    """The object does not exist, or belongs to another organization."""

    code = "not_found"


class HoldAlreadyEnded(Refusal):
    """The hold was settled or released with another result. `problem["state"]` says how."""

    code = "hold_already_ended"


class ReleaseExceedsUsage(Refusal):
    """More units would be released than are in use."""

    code = "release_exceeds_usage"


class IdempotencyConflict(Refusal):
    """The idempotency key was used with another request."""

    code = "idempotency_conflict"


# The request is not valid. The client has a bug.
class ValidationFailed(Refusal):
    """A field is missing or has a value that is not allowed. `errors` names it."""

    code = "validation_error"
    message: ClassVar[str] = "The request is not valid."


class MalformedRequest(Refusal):
    """The body is not valid JSON."""

    code = "malformed_request"


class UnknownParameter(Refusal):
    """The URL does not accept a query parameter."""

    code = "unknown_parameter"


class UnreadableRequest(Refusal):
    """The request is not valid HTTP."""

    code = "unreadable_request"


class MethodNotAllowed(Refusal):
    """The URL does not support the method."""

    code = "method_not_allowed"


class UnsupportedMediaType(Refusal):
    """The body is of another media type."""

    code = "unsupported_media_type"


class PayloadTooLarge(Refusal):
    """The body is larger than 2 MiB."""

    code = "payload_too_large"


class AddressTooLong(Refusal):
    """The URL is too long."""

    code = "uri_too_long"


class HeadersTooLarge(Refusal):
    """The headers are too large."""

    code = "headers_too_large"


# The service is unavailable at the moment.
class TemporarilyUnavailable(Refusal):
    """A part of the service is unavailable. Nothing was recorded."""

    code = "temporarily_unavailable"
    message: ClassVar[str] = "The service is temporarily unavailable. Try again shortly."
    is_temporary: ClassVar[bool] = True


class Overloaded(Refusal):
    """The service is handling too many requests."""

    code = "overloaded"
    is_temporary: ClassVar[bool] = True


class RequestTimeout(Refusal):
    """The body did not arrive in time."""

    code = "request_timeout"
    is_temporary: ClassVar[bool] = True


class ServerError(Refusal):
    """An internal error of the service. The service has recorded it."""

    code = "server_error"


class SigningNotConfigured(Refusal):
    """The service has no signing key, so it issues no entitlements tokens."""

    code = "signing_not_configured"
