"""POST /api/billing/webhooks/stripe. No framework, no call to Stripe: verify, store, 200."""

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from prometheus_client import Counter

from billing.errors import BillingNotConfigured
from contextmcp.common import errors, problems

from . import inbox, signature

log = structlog.get_logger(__name__)
# Stripe states no bound; events with hundreds of invoice lines have some hundred kilobytes.
BODY_LIMIT = 2 * 1024 * 1024
RECEIVED = Counter("stripe_webhooks_total", "Webhook deliveries by outcome", ["outcome"])


class SignatureInvalid(errors.ValidationFailed):
    status = 400
    message = "The signature does not match, or is older than five minutes."


@csrf_exempt
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    try:
        new = _store(request)
    except errors.DomainError as refusal:
        RECEIVED.labels(type(refusal).__name__).inc()
        return problems.response(refusal)
    RECEIVED.labels("stored" if new else "known").inc()
    return HttpResponse(b'{"received":true}', content_type="application/json")


def _store(request: HttpRequest) -> bool:
    if request.method != "POST":
        raise errors.MethodNotAllowed
    if not settings.STRIPE_WEBHOOK_SECRETS:
        raise BillingNotConfigured
    # One byte more than allowed is enough to tell.
    body = request.read(BODY_LIMIT + 1)
    if len(body) > BODY_LIMIT:
        raise errors.PayloadTooLarge
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise errors.MalformedRequest from error
    if not signature.is_genuine(text, request.headers.get("Stripe-Signature", "")):
        raise SignatureInvalid
    event = inbox.parse(body)
    structlog.contextvars.bind_contextvars(event=event.id)
    return inbox.store(event, text)
