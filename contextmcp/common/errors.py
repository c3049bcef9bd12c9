"""Base classes of domain errors. Each reason is a class with a code, an HTTP status and details that help the caller to continue."""

from datetime import datetime
from typing import Any, ClassVar, Self

from django.utils.translation import gettext_noop as _

from .text import translated


class DomainError(Exception):
    """An expected error with a stable `code`, an HTTP `status`, a message and `details` (snake_case; JSON has them in camelCase).

    The detail `retry_after` (whole seconds) is also sent as the `Retry-After` header.
    """

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 400
    message: ClassVar[str] = _("The request was refused.")

    def __init__(self, message: str | None = None, **details: Any) -> None:
        self._source = message or self.message
        # English, for the API and logs.
        self.text = str(self._source)
        self.details: dict[str, Any] = details
        super().__init__(f"{self.code}: {self.text}")

    @property
    def shown(self) -> str:
        """Return the text in the reader's language, for pages."""
        return translated(self._source)

    @property
    def title(self) -> str:
        """Return the message of the class in the reader's language, for pages."""
        return translated(self.message)


class ValidationFailed(DomainError):
    """The input is invalid. Details: `errors`, a list of `{"field": ..., "message": ...}`."""

    code = "validation_error"
    status = 422
    message = _("The request is not valid.")

    @classmethod
    def of_field(cls, field: str | None, message: str) -> Self:
        """Return the error of one field. `field` is its JSON name, or None for the whole request."""
        return cls(errors=[{"field": field, "message": message}])


class UnknownParameter(ValidationFailed):
    """The URL does not accept a query parameter. Ignoring it would hide a typing error in the client."""

    code = "unknown_parameter"
    status = 400
    message = "Unknown query parameter."


class MalformedRequest(ValidationFailed):
    code = "malformed_request"
    status = 400
    message = "The request body is not valid JSON."


class UnsupportedMediaType(ValidationFailed):
    code = "unsupported_media_type"
    status = 415
    message = "Send application/json."


class PayloadTooLarge(ValidationFailed):
    code = "payload_too_large"
    status = 413
    message = _("The request body is too large.")


class UnreadableRequest(MalformedRequest):
    code = "unreadable_request"
    message = "The request is not valid HTTP."


class UriTooLong(ValidationFailed):
    code = "uri_too_long"
    status = 414
    message = "The URL of the request is too long."


class HeadersTooLarge(ValidationFailed):
    code = "headers_too_large"
    status = 431
    message = "The headers of the request are too large."


class RequestTimeout(DomainError):
    code = "request_timeout"
    status = 408
    message = "The request body did not arrive in time."


class NotFound(DomainError):
    """The object does not exist, or it belongs to another organization."""

    code = "not_found"
    status = 404
    message = _("The requested resource does not exist.")


class MethodNotAllowed(DomainError):
    code = "method_not_allowed"
    status = 405
    message = _("This URL does not support the request method.")

    def __init__(self, *allowed: str) -> None:
        """Set the `allowed` methods of the URL, which are sent in the `Allow` header (RFC 9110, 15.5.6)."""
        super().__init__()
        self.allowed = allowed


class IdempotencyConflict(DomainError):
    code = "idempotency_conflict"
    status = 409
    message = "This Idempotency-Key was already used with another request, or the first request is still in progress."


class Conflict(DomainError):
    """The request is valid, but the current state of the resource does not allow it. Each reason is a subclass with its own code."""

    code = "conflict"
    status = 409
    message = "The current state does not allow this request."


class TemporarilyUnavailable(DomainError):
    """A service that the decision depends on is unavailable. Details: retry_after (seconds), and feature if the request names one."""

    code = "temporarily_unavailable"
    status = 503
    message = _("The service is temporarily unavailable. Try again shortly.")


class Overloaded(DomainError):
    """The process has reached its limit of concurrent requests. The caller's own limits are not the reason."""

    code = "overloaded"
    status = 503
    message = _("The service is busy. Try again shortly.")

    def __init__(self, message: str | None = None, **details: Any) -> None:
        super().__init__(message, **{"retry_after": 1, **details})


def until(moment: datetime, present: datetime) -> int:
    """Return the whole seconds from `present` to `moment`, at least 1, as the value of `retry_after`."""
    return max(1, -int(-(moment - present).total_seconds() // 1))
