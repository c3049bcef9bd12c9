"""Errors of requests: one exception class for each refusal code, and one for each kind of failure without a response.

ContextMCPError
    ServiceUnreachable      there was no response
    InvalidResponse         the response is not one of this API
    Refusal                 the service refused; each code is a subclass (contextmcp_sdk.refusals)
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

import msgspec
from typing_extensions import Self

_refusal_classes: dict[str, type[Refusal]] = {}


class ContextMCPError(Exception):
    """The base of all errors of this package."""


class ServiceUnreachable(ContextMCPError):
    """The service could not be reached, or did not respond in time. The outcome of the request is unknown; it is safe to repeat it."""


class InvalidResponse(ContextMCPError):
    """The response is not what the API documents: another server is at this URL, or this package is too old."""


class Refusal(ContextMCPError):
    """The service refused the request (RFC 9457).

    Attributes:
        code: the stable code of the reason. Each subclass has one; this class is used for codes that are newer than this package.
        status: the HTTP status.
        detail: an explanation for people.
        problem: the whole problem document, with details that have no attribute here.
    """

    code: str = "refused"
    # The detail of a refusal that is decided without the service. Only classes that `locally` creates define their own.
    message: ClassVar[str] = "The request was refused."
    # Whether the request may succeed if it is repeated unchanged after a while.
    is_temporary: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        """Register the class for its code."""
        super().__init_subclass__(**options)
        if "code" in vars(cls):
            _refusal_classes[cls.code] = cls

    def __init__(self, problem: Mapping[str, Any]) -> None:
        self.problem = dict(problem)
        self.code = str(problem.get("code", self.code))
        self.status: int = problem.get("status", 0)
        self.detail: str = problem.get("detail") or problem.get("title") or "The request was refused."
        super().__init__(f"{self.code}: {self.detail}")

    @classmethod
    def locally(cls, **details: Any) -> Self:
        """Return a refusal that is decided without the service. `details` have the names of the API."""
        return cls({"code": cls.code, "detail": cls.message, **details})

    @property
    def feature(self) -> str | None:
        """The affected feature."""
        value: str | None = self.problem.get("feature")
        return value

    @property
    def limit(self) -> int | None:
        """Units allowed, or the limit of another resource."""
        value: int | None = self.problem.get("limit")
        return value

    @property
    def used(self) -> int | None:
        """Units used or in use."""
        value: int | None = self.problem.get("used")
        return value

    @property
    def remaining(self) -> int | None:
        """Units left."""
        value: int | None = self.problem.get("remaining")
        return value

    @property
    def resets_at(self) -> datetime | None:
        """When the quota or the rate limit resets."""
        value = self.problem.get("resetsAt")
        return None if value is None else msgspec.convert(value, datetime)

    @property
    def retry_after(self) -> int | None:
        """Seconds until the request can succeed, if it can be retried."""
        value: int | None = self.problem.get("retryAfter")
        return value

    @property
    def upgrade_url(self) -> str | None:
        """The page where a larger plan can be bought, or an invoice paid."""
        value: str | None = self.problem.get("upgradeUrl")
        return value

    @property
    def errors(self) -> list[dict[str, Any]]:
        """For an invalid request: the fields (`field`) and what is wrong with them (`message`)."""
        value: list[dict[str, Any]] = self.problem.get("errors") or []
        return value


def refusal_of(problem: Mapping[str, Any]) -> Refusal:
    """Return the exception for a problem document: an instance of its code's class."""
    return _refusal_classes.get(str(problem.get("code")), Refusal)(problem)


def refusal_codes() -> frozenset[str]:
    """Return the codes that have a class."""
    return frozenset(_refusal_classes)
