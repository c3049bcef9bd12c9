"""Stripe's events answered in front of Django's middleware, none of which they need: no session, no cookie, no page."""

from collections.abc import Callable, Iterable
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.core.signals import request_finished, request_started

from contextmcp.common.problems import ServerError, translate
from contextmcp.common.problems import response as problem

from .view import log, stripe_webhook

PATH = "/api/billing/webhooks/stripe"
WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def in_front(application: WSGI) -> WSGI:
    """`application`, but for the one address. Django answers it alike where this is not used."""

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != PATH:
            return application(environ, start_response)
        request_started.send(sender=serve, environ=environ)
        try:
            answer = stripe_webhook(WSGIRequest(environ))
        except Exception as error:
            # What Django's handler would do: said in the log, told to nobody.
            log.exception("billing.webhook_failed")
            answer = problem(translate(error) or ServerError())
        finally:
            request_finished.send(sender=serve)
        start_response(f"{answer.status_code} {answer.reason_phrase}", list(answer.items()))
        return [answer.content]

    return serve
