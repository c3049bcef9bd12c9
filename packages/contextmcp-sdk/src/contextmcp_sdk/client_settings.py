"""The settings and HTTP conversions that both clients share."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict

import httpx
from typing_extensions import Self, Unpack

from .exchange import NoResponse, Response, Retries, Send
from .types import Customer, FailureMode

if TYPE_CHECKING:
    from .buffer import EventBuffer

KEY_VARIABLE, URL_VARIABLE, GATE_URL_VARIABLE = "CONTEXTMCP_API_KEY", "CONTEXTMCP_URL", "CONTEXTMCP_GATE_URL"
DEFAULT_TIMEOUT = 10.0
VERSION = "0.1.0"


class ClientOptions(TypedDict, total=False):
    """The options of a client.

    Attributes:
        url: the URL of the service. By default CONTEXTMCP_URL.
        gate_url: the URL of its gate, if that has one of its own. By default CONTEXTMCP_GATE_URL.
        customer: the customer of requests with a service key, unless a request names another one.
        failure_mode: what the client decides while the service is unavailable: `fail_closed` refuses calls with an exception,
            `fail_open` allows them. The catalog's `failure_mode` decides what the service itself does while its database is unavailable.
        event_buffer: stores usage that could not be reported, such as that of calls that `fail_open` has allowed.
        timeout: seconds for each attempt.
        retries: how often a request is repeated.
    """

    url: str
    gate_url: str
    customer: Customer
    failure_mode: FailureMode
    event_buffer: EventBuffer
    timeout: float
    retries: Retries


class ClientSettings:
    """The settings of a client. Subclasses send the requests.

    Args:
        key: a service key (`cmcp_svc_...`) or a customer's API key (`cmcp_sk_...`). By default CONTEXTMCP_API_KEY.
        options: see `ClientOptions`.
    """

    def __init__(self, key: str | None, **options: Unpack[ClientOptions]) -> None:
        self.key = key or os.environ.get(KEY_VARIABLE, "")
        self.url = (options.get("url") or os.environ.get(URL_VARIABLE, "")).rstrip("/")
        self.gate_url = (options.get("gate_url") or os.environ.get(GATE_URL_VARIABLE, "")).rstrip("/") or self.url
        self.customer, self.event_buffer = options.get("customer"), options.get("event_buffer")
        self.failure_mode: FailureMode = options.get("failure_mode", "fail_closed")
        self.timeout, self.retries = options.get("timeout", DEFAULT_TIMEOUT), options.get("retries") or Retries()
        if not self.key or not self.url:
            raise ValueError(f"Set {KEY_VARIABLE} and {URL_VARIABLE}, or give key and url.")
        if self.failure_mode not in ("fail_closed", "fail_open"):
            raise ValueError("failure_mode must be fail_closed or fail_open.")

    @property
    def has_buffer(self) -> bool:
        """Whether usage can be stored until the service can be reached."""
        return self.event_buffer is not None

    def for_customer(self, *, credential: str | None = None, organization_id: str | None = None) -> Self:
        """Return a client for one customer, which shares the connections of this one."""
        other = copy.copy(self)
        other.customer = Customer(credential, organization_id)
        return other

    def __repr__(self) -> str:
        """Return a representation without the key."""
        return f"{type(self).__name__}(url={self.url!r})"

    def _http_request(self, send: Send) -> tuple[str, str, dict[str, str], bytes | None]:
        base = self.gate_url if send.is_on_gate else self.url
        return send.method, base + send.path, {**send.headers, "User-Agent": f"contextmcp-sdk/{VERSION}"}, send.body


def response_of(response: httpx.Response) -> Response:
    """Convert httpx's response to the type that the operations read."""
    headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}
    return Response(response.status_code, headers, response.content)


def no_response(error: Exception, url: str) -> NoResponse:
    """Return the failure of an attempt. httpx leaves the message of a timeout empty."""
    return NoResponse(f"{url} did not respond: {str(error) or type(error).__name__}")
