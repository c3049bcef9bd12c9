"""POST /api/billing/webhooks/stripe: verify the signature, store the event and return 200. It does not call Stripe."""

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from prometheus_client import Counter

from billing.errors import BillingNotConfigured
from contextmcp.common import errors, problems

from . import inbox, signature

log = structlog.get_logger(__name__)
# Bytes. Stripe documents no maximum; events with hundreds of invoice lines have some hundred kilobytes.
BODY_LIMIT = 2 * 1024 * 1024
RECEIVED = Counter("stripe_webhooks_total", "Webhook deliveries by outcome", ["outcome"])


class SignatureInvalid(errors.ValidationFailed):
    code = "signature_invalid"
    status = 400
    message = "The webhook signature is invalid or older than five minutes."


@csrf_exempt
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """Store a webhook event. The response is 200 for new and known events, and a problem document otherwise."""
    try:
        new = _store(request)
    except errors.DomainError as refusal:
        RECEIVED.labels(type(refusal).__name__).inc()
        return problems.response(refusal)
    RECEIVED.labels("stored" if new else "known").inc()
    return HttpResponse(b'{"received":true}', content_type="application/json")


def _store(request: HttpRequest) -> bool:
    if request.method != "POST":
        raise errors.MethodNotAllowed("POST")
    if not settings.STRIPE_WEBHOOK_SECRETS:
        raise BillingNotConfigured
    # One byte more than the limit is read to detect a larger body.
    body = request.read(BODY_LIMIT + 1)
    if len(body) > BODY_LIMIT:
        raise errors.PayloadTooLarge
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise errors.MalformedRequest from error
    if not signature.verify_signature(text, request.headers.get("Stripe-Signature", "")):
        raise SignatureInvalid
    event = inbox.parse_event(body)
    structlog.contextvars.bind_contextvars(event=event.id)
    return inbox.store_event(event, text)
