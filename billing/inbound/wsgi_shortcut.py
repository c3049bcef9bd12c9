"""Serves the Stripe webhook before Django's middleware, because it needs no session, cookie or authentication."""

from collections.abc import Callable, Iterable
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.core.signals import request_finished, request_started
from django.http import HttpRequest, HttpResponse
from django.urls import resolve

from contextmcp.common.middleware import RequestIdMiddleware
from contextmcp.common.problems import ServerError, translate
from contextmcp.common.problems import response as problem

from .view import log, stripe_webhook

PATH = "/api/billing/webhooks/stripe"
WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def short_circuit_webhooks(application: WSGI) -> WSGI:
    """Wrap a WSGI application so that the webhook path bypasses it. Django's URL configuration serves the same view without the wrapper."""

    receive = RequestIdMiddleware(_receive)

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != PATH:
            return application(environ, start_response)
        request_started.send(sender=serve, environ=environ)
        try:
            response = receive(WSGIRequest(environ))
        finally:
            request_finished.send(sender=serve)
        start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
        return [response.content]

    return serve


def _receive(request: HttpRequest) -> HttpResponse:
    request.resolver_match = resolve(PATH)
    try:
        return stripe_webhook(request)
    except Exception as error:
        # The error is logged and not shown to the client, as Django's handler does.
        log.exception("billing.webhook_failed")
        return problem(translate(error) or ServerError())
