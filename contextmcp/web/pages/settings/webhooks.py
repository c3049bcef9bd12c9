"""Pages of webhook endpoints: their list, one endpoint with its messages, and a new signing secret."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext

from accounts.types import Caller
from contextmcp.web import drafts, submissions
from contextmcp.web.decorators import member_action, member_page
from contextmcp.web.forms import valid
from contextmcp.web.settings_forms import EndpointForm, RotateSecretForm
from usage.models import WebhookDelivery
from usage.webhooks.manager import MAX_ENDPOINTS, WebhookManager

SHOW_ONCE_PAGE = "webhook-secret"
DELIVERIES_PER_PAGE = 20
_EXAMPLE = """\
from standardwebhooks import Webhook

# Raises an error if the signature does not match, or the message is too old.
payload = Webhook(WEBHOOK_SECRET).verify(request.body, request.headers)
"""
_TYPED = ("url", "description", "event_types")


def manager(caller: Caller, *, scope: str = "organization:write") -> WebhookManager:
    """Return the manager of the caller's endpoints. As in the API, only owners may view and change them. Raises `PermissionDenied`."""
    caller.require(scope=scope, permission="organization:manage")
    return WebhookManager(caller.organization)


def endpoint_page(request: HttpRequest) -> str:
    """Return the page of the endpoint that the request's address names."""
    assert request.resolver_match is not None
    return reverse("webhook", args=[request.resolver_match.kwargs["endpoint_id"]])


def _edit_page(request: HttpRequest) -> str:
    assert request.resolver_match is not None
    return reverse("edit-webhook", args=[request.resolver_match.kwargs["endpoint_id"]])


@member_page
def webhooks(request: WSGIRequest, caller: Caller) -> HttpResponse:
    endpoints = list(manager(caller, scope="organization:read").endpoints())
    return render(request, "web/settings/webhooks.html", {"endpoints": endpoints, "limit": MAX_ENDPOINTS})


@member_page
def new_webhook(request: WSGIRequest, caller: Caller) -> HttpResponse:
    manager(caller)
    form = drafts.bind_form(request, caller, "new-webhook", EndpointForm, EndpointForm())
    return render(request, "web/settings/webhook_form.html", {"form": form})


@member_action("new-webhook", form="new-webhook", keeps=_TYPED, once=True)
def create_webhook(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    data = valid(EndpointForm(request.POST))
    endpoint, secret = manager(caller).add(caller, data["url"], data["event_types"], data["description"])
    return submissions.show_key(request, secret, page=SHOW_ONCE_PAGE, endpoint=str(endpoint.pk))


@member_page
def webhook(request: WSGIRequest, caller: Caller, endpoint_id: UUID) -> HttpResponse:
    """Show an endpoint and its messages of the last 30 days, newest first."""
    endpoints = manager(caller, scope="organization:read")
    endpoint = endpoints.endpoint(endpoint_id)
    deliveries = endpoints.deliveries_before(endpoint_id, request.GET.get("before", ""))[: DELIVERIES_PER_PAGE + 1]
    rows = list(deliveries.defer("body"))
    context: dict[str, Any] = {
        "endpoint": endpoint,
        "deliveries": rows[:DELIVERIES_PER_PAGE],
        "older": rows[DELIVERIES_PER_PAGE - 1] if len(rows) > DELIVERIES_PER_PAGE else None,
        "waiting": any(row.state == WebhookDelivery.State.PENDING for row in rows),
        "rotate_form": RotateSecretForm(),
    }
    return render(request, "web/settings/webhook.html", context)


@member_page
def edit_webhook(request: WSGIRequest, caller: Caller, endpoint_id: UUID) -> HttpResponse:
    endpoint = manager(caller).endpoint(endpoint_id)
    unbound = EndpointForm(initial={name: getattr(endpoint, name) for name in _TYPED})
    form = drafts.bind_form(request, caller, "webhook", EndpointForm, unbound)
    return render(request, "web/settings/webhook_form.html", {"form": form, "endpoint": endpoint})


@member_action(_edit_page, form="webhook", keeps=_TYPED)
def change_webhook(request: WSGIRequest, caller: Caller, endpoint_id: UUID) -> HttpResponseBase:
    data = valid(EndpointForm(request.POST))
    manager(caller).change(caller, endpoint_id, data)
    messages.success(request, gettext("Endpoint saved. Messages that are waiting are sent to the new URL."))
    return redirect("webhook", endpoint_id)


@member_action(endpoint_page)
def enable_webhook(request: WSGIRequest, caller: Caller, endpoint_id: UUID) -> HttpResponseBase:
    manager(caller).change(caller, endpoint_id, {"enabled": True})
    messages.success(request, gettext("Endpoint enabled. Redeliver the messages that it missed below."))
    return redirect("webhook", endpoint_id)


@member_action(endpoint_page)
def disable_webhook(request: WSGIRequest, caller: Caller, endpoint_id: UUID) -> HttpResponseBase:
    manager(caller).change(caller, endpoint_id, {"enabled": False})
    messages.success(request, gettext("Endpoint disabled. It gets no more messages."))
    return redirect("webhook", endpoint_id)


@member_action(endpoint_page)
def delete_webhook(request: WSGIRequest, caller: Caller, endpoint_id: UUID) -> HttpResponseBase:
    manager(caller).remove(caller, endpoint_id)
    messages.success(request, gettext("Endpoint deleted."))
    return redirect("webhooks")


@member_action(endpoint_page, once=True)
def rotate_webhook(request: WSGIRequest, caller: Caller, endpoint_id: UUID) -> HttpResponseBase:
    overlap = timedelta(seconds=int(valid(RotateSecretForm(request.POST))["overlap"]))
    endpoint, secret = manager(caller).rotate_secret(caller, endpoint_id, overlap)
    return submissions.show_key(request, secret, page=SHOW_ONCE_PAGE, endpoint=str(endpoint.pk), replaces="rotated")


@member_page
def webhook_secret(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    """Show a new signing secret. Reloading the page shows it again for a few minutes."""
    shown = submissions.shown_key(request, SHOW_ONCE_PAGE)
    endpoint = manager(caller).endpoints().filter(pk=shown["endpoint"]).first() if shown else None
    if shown is None or endpoint is None:
        messages.info(request, gettext("A signing secret is shown only when it is created. Rotate it to get a new one."))
        return redirect("webhooks")
    context = {"endpoint": endpoint, "secret": shown["raw"], "shown": shown, "example": _EXAMPLE}
    return render(request, "web/settings/webhook_secret.html", context)


@member_action("webhooks")
def delete_stored_secret(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    """Delete the stored text of a new secret after the user confirmed that they copied it."""
    shown = submissions.shown_key(request, SHOW_ONCE_PAGE)
    answer = redirect("webhook", shown["endpoint"]) if shown else redirect("webhooks")
    return submissions.delete_stored_key(request, answer, page=SHOW_ONCE_PAGE, list_page="webhooks")
