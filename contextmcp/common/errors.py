"""Refusals. Each reason is a class; what a caller needs to go on stands in its details."""

from datetime import datetime
from typing import Any, ClassVar


class DomainError(Exception):
    """A refusal with a stable `code`, an HTTP `status`, a sentence, and `details` (snake_case; JSON shows them in camelCase).

    The details `retry_after` (whole seconds) also becomes the `Retry-After` header.
    """

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 400
    message: ClassVar[str] = "This cannot be done."

    def __init__(self, message: str | None = None, **details: Any) -> None:
        self.text = message or self.message
        self.details: dict[str, Any] = details
        super().__init__(f"{self.code}: {self.text}")


class ValidationFailed(DomainError):
    """`errors` is a list of `{"field": ..., "message": ...}`."""

    code = "validation_error"
    status = 422
    message = "The request is not valid."


class MalformedRequest(ValidationFailed):
    status = 400
    message = "The request body is not valid JSON."


class UnsupportedMediaType(ValidationFailed):
    status = 415
    message = "Send application/json."


class PayloadTooLarge(ValidationFailed):
    status = 413
    message = "The request body is too large."


class UnreadableRequest(MalformedRequest):
    message = "The request is not valid HTTP."


class AddressTooLong(ValidationFailed):
    status = 414
    message = "The address of the request is too long."


class HeadersTooLarge(ValidationFailed):
    status = 431
    message = "The headers of the request are too large."


class RequestTimeout(DomainError):
    code = "request_timeout"
    status = 408
    message = "The request body did not arrive in time."


class NotFound(DomainError):
    """Also the answer to a stranger who asks for another's object."""

    code = "not_found"
    status = 404
    message = "There is nothing here under that address or id."


class MethodNotAllowed(DomainError):
    code = "method_not_allowed"
    status = 405
    message = "This address does not take that method."


class IdempotencyConflict(DomainError):
    code = "idempotency_conflict"
    status = 409
    message = "This Idempotency-Key was already used with another request, or the first one is still under way."


class Conflict(DomainError):
    """The request is well-formed, but the present state does not allow it."""

    code = "conflict"
    status = 409
    message = "The present state does not allow this."


class TemporarilyUnavailable(DomainError):
    """What would decide this cannot be reached. Details: retry_after, and feature where it is about one."""

    code = "temporarily_unavailable"
    status = 503
    message = "This cannot be decided at the moment. Try again shortly."


class Overloaded(DomainError):
    """The process has as many requests as it takes. The caller's own limits are not the reason."""

    code = "overloaded"
    status = 503
    message = "The service is busy. Try again shortly."

    def __init__(self, message: str | None = None, **details: Any) -> None:
        super().__init__(message, **{"retry_after": 1, **details})


def until(moment: datetime, present: datetime) -> int:
    """Whole seconds from `present` to `moment`, at least 1: the value of `retry_after`."""
    return max(1, -int(-(moment - present).total_seconds() // 1))
