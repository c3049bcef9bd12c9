"""How Stripe is asked: one client, one version, short limits, no telemetry, and errors in our own words."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import stripe
import structlog
from django.conf import settings
from prometheus_client import Histogram

from billing.errors import BillingNotConfigured, PaymentRequired, StripeMissing, StripeRejected, StripeUnavailable

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 2.0
READ_SECONDS = 5.0
RETRIES = 1

CALLS = Histogram("stripe_call_seconds", "Calls to Stripe by outcome", ["method", "resource", "outcome"])


_lock = threading.Lock()
_made: dict[tuple[str, str, str], stripe.StripeClient] = {}
_http = stripe.RequestsClient(timeout=(CONNECT_SECONDS, READ_SECONDS))


def is_configured() -> bool:
    return bool(settings.STRIPE_SECRET_KEY)


def configure() -> None:
    """Give the same limits, version and addresses to the SDK's module-wide client, which dj-stripe uses."""
    stripe.api_key = settings.STRIPE_SECRET_KEY or None
    stripe.api_version = settings.STRIPE_API_VERSION
    stripe.enable_telemetry = False
    stripe.max_network_retries = RETRIES
    stripe.default_http_client = _http
    addresses = _addresses()
    stripe.api_base = addresses.get("api", stripe.DEFAULT_API_BASE)
    stripe.connect_api_base = addresses.get("connect", stripe.DEFAULT_CONNECT_API_BASE)
    stripe.upload_api_base = addresses.get("files", stripe.DEFAULT_UPLOAD_API_BASE)
    stripe.meter_events_api_base = addresses.get("meter_events", stripe.DEFAULT_METER_EVENTS_API_BASE)


def _addresses() -> dict[str, str]:
    # Meter events have a host of their own: an override of "api" alone would send them to the real Stripe.
    base = settings.STRIPE_API_BASE
    return dict.fromkeys(["api", "connect", "files", "meter_events"], base) if base else {}


def client() -> stripe.StripeClient:
    """The client for the present settings. Raises `BillingNotConfigured` without a key."""
    if not is_configured():
        raise BillingNotConfigured
    known = (settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE, settings.STRIPE_API_VERSION)
    with _lock:
        if known not in _made:
            _made.clear()
            _made[known] = stripe.StripeClient(
                known[0],
                stripe_version=known[2],
                base_addresses=_addresses(),  # type: ignore[arg-type,unused-ignore]
                max_network_retries=RETRIES,
                http_client=_http,
            )
        return _made[known]


def ask(method: str, path: str, *, key: object = None, **params: Any) -> dict[str, Any]:
    """One call. A POST takes `key`, its idempotency key: the id of a committed row that says what is meant."""
    assert method != "post" or key is not None, f"{path} needs an idempotency key"
    options = {} if key is None else {"idempotency_key": str(key)}
    with translated(method, path):
        answer = client().raw_request(method, path, **options, **params)
    document: dict[str, Any] = answer.data
    return document


def pages(path: str, *, limit: int = 100, **params: Any) -> Iterator[dict[str, Any]]:
    """Every object of a list, page by page, newest first."""
    after: dict[str, str] = {}
    while True:
        page = ask("get", path, limit=limit, **params, **after)
        yield from page["data"]
        if not page["has_more"] or not page["data"]:
            return
        after = {"starting_after": page["data"][-1]["id"]}


@contextmanager
def translated(method: str = "get", path: str = "mirror") -> Iterator[None]:
    """Run a block that calls Stripe; its errors leave as ours."""
    started = time.monotonic()
    outcome = "ok"
    try:
        yield
    except stripe.StripeError as error:
        outcome = type(error).__name__
        raise _ours(error) from error
    finally:
        resource = path.split("/")[2] if path.startswith("/v1/") else path
        CALLS.labels(method, resource, outcome).observe(time.monotonic() - started)


def _ours(error: stripe.StripeError) -> Exception:
    match error:
        case stripe.CardError():
            details = error.error.decline_code if error.error else None
            return PaymentRequired(reason=details or error.code or "card_declined")
        case stripe.AuthenticationError() | stripe.PermissionError():
            return BillingNotConfigured("The payment provider refuses this server's key.")
        case stripe.InvalidRequestError() | stripe.IdempotencyError():
            message, code = error.user_message or str(error), error.code or ""
            param = getattr(error, "param", None) or ""
            if code == "resource_missing" or error.http_status == 404:
                return StripeMissing(message, code, param)
            log.error("stripe.rejected", reason=message, stripe_code=code, param=param, request_id=error.request_id)
            return StripeRejected(message, code, param)
        case _:
            # Connection trouble, rate limits, 5xx: nothing is known about the request, and repeating it is safe.
            return StripeUnavailable(retry_after=5)


def plain(thing: Any) -> dict[str, Any]:
    """A StripeObject as plain JSON."""
    document: dict[str, Any] = json.loads(str(thing))
    return document
