"""Render errors as `application/problem+json` (RFC 9457): `type`, `title`, `status`, `code`, `detail` and the error's details."""

import json
import logging
import sys
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.encoding import force_str
from django.utils.translation import gettext_noop as _
from rest_framework import exceptions
from rest_framework.response import Response

from . import errors
from .api import camelize, json_default
from .db import describe_error
from .headers import PRIVATE
from .logs import request_id

log = logging.getLogger(__name__)
CONTENT_TYPE = "application/problem+json"


class Unauthenticated(errors.DomainError):
    code = "credentials_missing"
    status = 401
    message = "Send an API key: Authorization: Bearer <key>."


class Forbidden(errors.DomainError):
    code = "permission_denied"
    status = 403
    message = _("You are not allowed to do this.")


class ServerError(errors.DomainError):
    code = "server_error"
    status = 500
    message = _("An unexpected error occurred. It has been recorded.")


def body(error: errors.DomainError) -> dict[str, Any]:
    """Return the problem document of an error as a dictionary for JSON."""
    return {
        "type": f"{settings.PUBLIC_URL}/problems/{error.code}",
        "title": error.message,
        "status": error.status,
        "code": error.code,
        "detail": error.text,
        **camelize(error.details),
    }


def headers(error: errors.DomainError) -> dict[str, str]:
    """Return the response headers of an error: `Retry-After`, `WWW-Authenticate` or `Allow`."""
    result = {}
    if "retry_after" in error.details:
        result["Retry-After"] = str(error.details["retry_after"])
    if error.status == 401:
        result["WWW-Authenticate"] = "Bearer"
    if isinstance(error, errors.MethodNotAllowed) and error.allowed:
        result["Allow"] = ", ".join(error.allowed)
    return result


def response(error: errors.DomainError) -> HttpResponse:
    """Return the error as a Django response, for views outside DRF."""
    text = json.dumps(body(error), default=json_default)
    return HttpResponse(text, status=error.status, content_type=CONTENT_TYPE, headers=headers(error))


def handle(exception: Exception, context: dict[str, Any]) -> Response | None:
    """Handle an exception of a DRF view. Return None for unexpected exceptions, which become a 500 with a logged traceback."""
    error = translate(exception)
    if error is None:
        return None
    answer = Response(json.loads(json.dumps(body(error), default=json_default)), status=error.status, headers=headers(error))
    answer.content_type = CONTENT_TYPE
    return answer


def translate(exception: Exception) -> errors.DomainError | None:  # noqa: PLR0911 - one return per kind
    """Return the domain error that corresponds to an exception of DRF, Django or psycopg, or None if there is none."""
    match exception:
        case errors.DomainError():
            return exception
        case exceptions.ParseError():
            return errors.MalformedRequest()
        case exceptions.ValidationError():
            return errors.ValidationFailed(errors=list(_fields(exception.detail)))
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return Unauthenticated()
        case exceptions.PermissionDenied() | PermissionDenied():
            return Forbidden(str(getattr(exception, "detail", "")) or None)
        case exceptions.NotFound() | Http404():
            return errors.NotFound()
        case exceptions.MethodNotAllowed():
            return errors.MethodNotAllowed()
        case exceptions.NotAcceptable():
            return errors.ValidationFailed("This URL only returns application/json.")
        case exceptions.UnsupportedMediaType():
            return errors.UnsupportedMediaType()
        case RequestDataTooBig():
            return errors.PayloadTooLarge()
        case OperationalError() | InterfaceError() if _unreachable(exception):
            log.warning("the database is unreachable: %s", describe_error(exception.__cause__))
            return errors.TemporarilyUnavailable(_("The database is temporarily unavailable. Try again shortly."), retry_after=1)
        case OperationalError() if _sqlstate(exception) in _TIMEOUT_SQLSTATES:
            log.warning("a request timed out waiting for a lock: %s", describe_error(exception.__cause__))
            return errors.TemporarilyUnavailable(_("Another request is changing the same data. Try again shortly."), retry_after=1)
    return None


def _sqlstate(exception: DatabaseError | InterfaceError) -> str | None:
    return getattr(exception.__cause__, "sqlstate", None)


# lock_not_available
_TIMEOUT_SQLSTATES = {"55P03"}
# admin_shutdown, crash_shutdown, cannot_connect_now, too_many_connections
_UNAVAILABLE_SQLSTATES = {"57P01", "57P02", "57P03", "53300"}


def _unreachable(exception: DatabaseError | InterfaceError) -> bool:
    """Return whether the error means that the database is unreachable. A lost connection has no SQLSTATE."""
    state = _sqlstate(exception)
    return state is None or state.startswith("08") or state in _UNAVAILABLE_SQLSTATES


def _fields(detail: Any, path: str = "") -> Any:
    if isinstance(detail, dict):
        for name, inner in detail.items():
            place = path if name == "non_field_errors" else f"{path}.{name}".lstrip(".")
            yield from _fields(inner, place)
    elif isinstance(detail, list):
        for position, inner in enumerate(detail):
            yield from _fields(inner, f"{path}[{position}]" if isinstance(inner, dict | list) and inner else path)
    else:
        yield {"field": path or None, "message": force_str(detail)}


def _page(request: HttpRequest, error: errors.DomainError) -> HttpResponse:
    if request.path.startswith("/api/"):
        return response(error)
    return render(request, "error.html", {"error": error}, status=error.status)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    return _page(
        request,
        errors.ValidationFailed("The request is not valid.")
        if exception is None
        else translate(exception) or errors.MalformedRequest("The request is not valid."),
    )


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    return _page(request, Forbidden())


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    return _page(request, errors.NotFound())


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Return the error page without a template context or a query, because either may be what failed."""
    exception = sys.exc_info()[1]
    error = (isinstance(exception, Exception) and translate(exception)) or ServerError()
    return response(error) if request.path.startswith("/api/") else _plain_page(error, request_id.get())


def before_django(error: errors.DomainError, path: str, accept: str, reference: str) -> HttpResponse:
    """Return the response to a request that is refused before any middleware runs.

    `accept` is its Accept header: clients that prefer HTML receive a page.
    """
    request = HttpRequest()
    request.META["HTTP_ACCEPT"] = accept or "*/*"
    prefers_page = request.get_preferred_type([CONTENT_TYPE, "application/json", "text/html"]) == "text/html"
    answer = _plain_page(error, reference) if prefers_page and not path.startswith("/api/") else response(error)
    for name, value in {**_BEFORE_DJANGO, "X-Request-Id": reference}.items():
        answer.headers[name] = value
    return answer


# Headers that middleware adds to other responses. These pages load one style sheet and contain a link.
_BEFORE_DJANGO = {
    "Cache-Control": PRIVATE,
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept",
}


def _plain_page(error: errors.DomainError, reference: str) -> HttpResponse:
    content = render_to_string("500.html", {"error": error, "reference": reference})
    return HttpResponse(content, status=error.status, headers=headers(error))
