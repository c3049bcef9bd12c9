"""The Stripe client: one pinned API version, short timeouts, no telemetry, and translation of errors to `billing.errors`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import stripe
import structlog
from django.conf import settings
from prometheus_client import Histogram

from billing.errors import (
    BillingNotConfigured,
    PaymentConfirmationRequired,
    PaymentRequired,
    ServerMisconfigured,
    StripeMissing,
    StripeUnavailable,
)
from billing.stripe.redaction import without_secrets

from . import refusals

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 2.0
READ_SECONDS = 5.0
RETRIES = 1

CALLS = Histogram("stripe_call_seconds", "Calls to Stripe by outcome", ["method", "resource", "outcome"])

# Codes and decline codes of payments that succeed once the customer confirms them (https://docs.stripe.com/error-codes).
CONFIRMATION = {
    "authentication_required",
    "invoice_payment_intent_requires_action",
    "payment_intent_action_required",
    "subscription_payment_intent_requires_action",
}

_lock = threading.Lock()
_clients: dict[tuple[str, str, str], stripe.StripeClient] = {}
_http = stripe.RequestsClient(timeout=(CONNECT_SECONDS, READ_SECONDS))


def is_configured() -> bool:
    """Return whether a Stripe key is configured."""
    return bool(settings.STRIPE_SECRET_KEY)


def configure() -> None:
    """Apply the key, version, timeouts and base addresses to the SDK's global client, which dj-stripe uses."""
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
    # Meter events have a separate host: overriding "api" alone would send them to the real Stripe.
    base = settings.STRIPE_API_BASE
    return dict.fromkeys(["api", "connect", "files", "meter_events"], base) if base else {}


def client() -> stripe.StripeClient:
    """Return the client for the current settings. Raises `BillingNotConfigured` without a key."""
    if not is_configured():
        raise BillingNotConfigured
    cache_key = (settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE, settings.STRIPE_API_VERSION)
    with _lock:
        if cache_key not in _clients:
            _clients.clear()
            _clients[cache_key] = stripe.StripeClient(
                settings.STRIPE_SECRET_KEY,
                stripe_version=settings.STRIPE_API_VERSION,
                base_addresses=_addresses(),  # type: ignore[arg-type,unused-ignore]
                max_network_retries=RETRIES,
                http_client=_http,
            )
        return _clients[cache_key]


def call(method: str, path: str, *, key: object = None, **params: Any) -> dict[str, Any]:
    """Send one request and return the response without secrets, so that none can be stored, logged or shown.

    A POST requires `key`, the idempotency key: the id of a committed row that records the request.

    Raises `BillingNotConfigured`, `StripeUnavailable`, `PaymentRequired`, or a subclass of `StripeRejected`.
    """
    assert method != "post" or key is not None, f"{path} needs an idempotency key"
    options = {} if key is None else {"idempotency_key": str(key)}
    with translate_errors(method, path):
        response = client().raw_request(method, path, **options, **params)
    document: dict[str, Any] = without_secrets(response.data)
    return document


def pages(path: str, *, limit: int = 100, **params: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a list, newest first, fetching it page by page."""
    after: dict[str, str] = {}
    while True:
        page = call("get", path, limit=limit, **params, **after)
        yield from page["data"]
        if not page["has_more"] or not page["data"]:
            return
        after = {"starting_after": page["data"][-1]["id"]}


@contextmanager
def translate_errors(method: str = "get", path: str = "mirror") -> Iterator[None]:
    """Run a block that calls Stripe. Translates its errors and records its duration."""
    started = time.monotonic()
    outcome = "ok"
    try:
        yield
    except stripe.StripeError as error:
        outcome = type(error).__name__
        raise _to_domain_error(error, method, path) from error
    finally:
        resource = path.split("/")[2] if path.startswith("/v1/") else path
        CALLS.labels(method, resource, outcome).observe(time.monotonic() - started)


def _to_domain_error(error: stripe.StripeError, method: str, path: str) -> Exception:
    match error:
        case stripe.CardError():
            details = error.error.decline_code if error.error else None
            declined = PaymentConfirmationRequired if CONFIRMATION & {details, error.code} else PaymentRequired
            return declined(reason=details or error.code or "card_declined")
        case stripe.AuthenticationError() | stripe.PermissionError():
            return ServerMisconfigured("The payment provider rejected this server's API key.")
        case stripe.InvalidRequestError() | stripe.IdempotencyError():
            refusal = refusals.classify(error, method, path)
            if getattr(refusal, "needs_operator", False) and not isinstance(refusal, StripeMissing):
                log.error("stripe.rejected", reason=str(refusal), code=refusal.code, stripe_code=error.code, request_id=error.request_id)
            return refusal
        case _:
            # Connection errors, rate limits and 5xx: the outcome is unknown, and the idempotency key makes a repeat safe.
            return StripeUnavailable(retry_after=5)
