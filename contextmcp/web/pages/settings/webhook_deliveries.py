"""The page of one message to a webhook endpoint: its content, its attempts, and sending it again."""

import json
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext

from accounts.types import Caller
from contextmcp.web.decorators import member_action, member_page
from usage.models import WebhookDelivery

from .webhooks import endpoint_page, manager


def _delivery_page(request: HttpRequest) -> str:
    assert request.resolver_match is not None
    arguments = request.resolver_match.kwargs
    return reverse("webhook-delivery", args=[arguments["endpoint_id"], arguments["delivery_id"]])


@member_page
def delivery(request: WSGIRequest, caller: Caller, endpoint_id: UUID, delivery_id: UUID) -> HttpResponse:
    context = _context(caller, endpoint_id, delivery_id)
    payload = json.dumps(json.loads(context["delivery"].body), indent=2, ensure_ascii=False)
    return render(request, "web/settings/webhook_delivery.html", context | {"payload": payload})


@member_page
def delivery_state(request: WSGIRequest, caller: Caller, endpoint_id: UUID, delivery_id: UUID) -> HttpResponse:
    """Return the part of the page with the attempts. The page requests it repeatedly while the message waits."""
    return render(request, "web/settings/webhook_attempts.html", _context(caller, endpoint_id, delivery_id))


def _context(caller: Caller, endpoint_id: UUID, delivery_id: UUID) -> dict[str, Any]:
    row = manager(caller, scope="organization:read").delivery(endpoint_id, delivery_id)
    pending = row.state == WebhookDelivery.State.PENDING
    return {"delivery": row, "endpoint": row.endpoint, "pending": pending, "attempts": row.attempt_log.all()}


@member_action(endpoint_page, once=True)
def test_webhook(request: WSGIRequest, caller: Caller, endpoint_id: UUID) -> HttpResponseBase:
    """Send a test message and show it."""
    row = manager(caller).test(caller, endpoint_id)
    return redirect("webhook-delivery", endpoint_id, row.pk)


@member_action(_delivery_page, once=True)
def redeliver(request: WSGIRequest, caller: Caller, endpoint_id: UUID, delivery_id: UUID) -> HttpResponseBase:
    manager(caller).redeliver(caller, endpoint_id, delivery_id)
    messages.success(request, gettext("The message is sent again, with the same ID."))
    return redirect("webhook-delivery", endpoint_id, delivery_id)
