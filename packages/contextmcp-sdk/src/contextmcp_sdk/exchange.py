"""One request to the service, without I/O: the HTTP request, its retries, and the interpretation of responses.

`perform` is a generator. It yields what it waits for, a `Send` or a `Sleep`, and gets the response back. The synchronous and the
asynchronous client drive the same generator.
"""

from __future__ import annotations

import json
import random
from collections.abc import Generator, Mapping
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from .errors import ContextMCPError, InvalidResponse, Refusal, ServiceUnreachable, refusal_of
from .types import BufferedRecord, Customer

T = TypeVar("T")
# Statuses of a proxy whose service is unavailable. A 503 of the service itself has a code.
RETRYABLE_STATUSES = frozenset({408, 502, 503, 504})
CREDENTIAL_HEADER, ORGANIZATION_HEADER = "ContextMCP-Credential", "ContextMCP-Organization"


class Retries(Struct, frozen=True):
    """How often and how long a request is repeated. Times are in seconds.

    Before each repetition the client waits for a random time between zero and a maximum that doubles (full jitter), so that clients that
    failed together do not retry together. `Retry-After` is added; if it is longer than `max_wait`, the request is not repeated.
    """

    attempts: int = 3
    first_wait: float = 0.1
    max_wait: float = 5.0


class Request(Struct, Generic[T], frozen=True):
    """A request, and the type of its response. All requests of this package are safe to retry: they read or have an idempotency key."""

    method: str
    path: str
    response_type: type[T]
    body: bytes | None = None
    idempotency_key: str | None = None
    # Whether the gate also serves this request.
    is_on_gate: bool = False
    # Whether the organization's ID is sent instead of the customer's key, if it is known.
    names_organization: bool = False


class Send(Struct, frozen=True):
    """An HTTP request that the client must send."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None
    is_on_gate: bool


class Sleep(Struct, frozen=True):
    """A time to wait, in seconds."""

    seconds: float


class Store(Struct, frozen=True):
    """A record for the client's event buffer, which must be on disk before the operation continues."""

    record: BufferedRecord


class Response(Struct, frozen=True):
    """The response to a `Send`. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoResponse(Struct, frozen=True):
    """There was no response to the `Send`."""

    reason: str


Effect = Send | Sleep | Store
Exchange = Generator[Effect, "Response | NoResponse | None", T]


def perform(request: Request[T], key: str, customer: Customer | None, retries: Retries) -> Exchange[T]:
    """Send the request until there is a final response, and return it decoded. `key` is the API key or service key.

    Raises:
        Refusal: the service refused it.
        ServiceUnreachable: no attempt got a response.
        InvalidResponse: the response is not one of this API.
    """
    send = Send(request.method, request.path, _headers(request, key, customer), request.body, request.is_on_gate)
    attempt = 0
    while True:
        attempt += 1
        outcome = yield send
        failure = _failure(outcome)
        if failure is None:
            assert isinstance(outcome, Response)
            return decode(request.response_type, outcome.body)
        wait = _wait(failure, attempt, retries)
        if wait is None:
            raise failure
        yield Sleep(wait)


def decode(response_type: type[T], body: bytes) -> T:
    """Return the JSON document as the type. Raises `InvalidResponse`. Fields that this package does not know are ignored."""
    try:
        return msgspec.json.decode(body, type=response_type)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidResponse(f"The service returned an unexpected response: {error}") from None


def _headers(request: Request[Any], key: str, customer: Customer | None) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
    if request.body is not None:
        headers["Content-Type"] = "application/json"
    if request.idempotency_key is not None:
        headers["Idempotency-Key"] = request.idempotency_key
    if customer is not None and customer.credential is not None and not (request.names_organization and customer.organization_id):
        headers[CREDENTIAL_HEADER] = customer.credential
    elif customer is not None and customer.organization_id is not None:
        headers[ORGANIZATION_HEADER] = customer.organization_id
    return headers


def _failure(outcome: Response | NoResponse | None) -> ContextMCPError | None:
    """Return the error of a failed attempt, or None if it succeeded."""
    if isinstance(outcome, NoResponse):
        return ServiceUnreachable(outcome.reason)
    assert outcome is not None
    if 200 <= outcome.status < 300:
        return None
    problem = _problem(outcome)
    if problem is not None:
        return refusal_of(problem)
    if outcome.status in RETRYABLE_STATUSES:
        return ServiceUnreachable(f"The service returned status {outcome.status}.")
    return InvalidResponse(f"The service returned status {outcome.status} without a reason.")


def _problem(response: Response) -> dict[str, Any] | None:
    try:
        problem = json.loads(response.body)
    except ValueError:
        return None
    if not isinstance(problem, dict) or not isinstance(problem.get("code"), str):
        return None
    problem["status"] = response.status
    if "retryAfter" not in problem and response.headers.get("retry-after", "").isdecimal():
        problem["retryAfter"] = int(response.headers["retry-after"])
    return problem


def _wait(failure: ContextMCPError, attempt: int, retries: Retries) -> float | None:
    """Return the seconds to wait before the next attempt, or None if there is none."""
    is_temporary = isinstance(failure, ServiceUnreachable) or (isinstance(failure, Refusal) and failure.is_temporary)
    if not is_temporary or attempt >= retries.attempts:
        return None
    least = (failure.retry_after or 0) if isinstance(failure, Refusal) else 0
    if least > retries.max_wait:
        return None
    return least + random.uniform(0, min(retries.max_wait, retries.first_wait * 2 ** (attempt - 1)))  # noqa: S311 - no secret
