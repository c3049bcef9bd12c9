"""Every error leaves as `application/problem+json` (RFC 9457): `type`, `title`, `status`, `code`, `detail`, then the refusal's details."""

import json
import sys
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.encoding import force_str
from rest_framework import exceptions
from rest_framework.response import Response

from . import errors
from .api import camelize

CONTENT_TYPE = "application/problem+json"


class Unauthenticated(errors.DomainError):
    code = "key_not_found"
    status = 401
    message = "Send an API key: Authorization: Bearer <key>."


class Forbidden(errors.DomainError):
    code = "permission_denied"
    status = 403
    message = "You are not allowed to do this."


class ServerError(errors.DomainError):
    code = "server_error"
    status = 500
    message = "Something went wrong here. It has been recorded."


def body(error: errors.DomainError) -> dict[str, Any]:
    """The problem document of a refusal, ready for JSON."""
    return {
        "type": f"{settings.PUBLIC_URL}/problems/{error.code}",
        "title": error.message,
        "status": error.status,
        "code": error.code,
        "detail": error.text,
        **camelize(error.details),
    }


def headers(error: errors.DomainError) -> dict[str, str]:
    """The headers that go with it."""
    found = {}
    if "retry_after" in error.details:
        found["Retry-After"] = str(error.details["retry_after"])
    if error.status == 401:
        found["WWW-Authenticate"] = "Bearer"
    return found


def response(error: errors.DomainError) -> HttpResponse:
    """The same outside DRF."""
    text = json.dumps(body(error), default=_plain)
    return HttpResponse(text, status=error.status, content_type=CONTENT_TYPE, headers=headers(error))


def _plain(value: Any) -> str:
    return value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else str(value)


def handle(exception: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. What is not a refusal stays unexpected: None lets it become a 500 and a logged traceback."""
    error = translate(exception)
    if error is None:
        return None
    answer = Response(json.loads(json.dumps(body(error), default=_plain)), status=error.status, headers=headers(error))
    answer.content_type = CONTENT_TYPE
    return answer


def translate(exception: Exception) -> errors.DomainError | None:  # noqa: PLR0911 - one line a kind
    """DRF's and Django's own exceptions as refusals of ours."""
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
            return errors.ValidationFailed("This address answers application/json.")
        case exceptions.UnsupportedMediaType():
            return errors.UnsupportedMediaType()
        case RequestDataTooBig():
            return errors.PayloadTooLarge()
        case OperationalError() | InterfaceError() if _unreachable(exception):
            return errors.TemporarilyUnavailable("The database cannot be reached at the moment. Try again shortly.", retry_after=1)
        case OperationalError() if _sqlstate(exception) in _WAITED:
            return errors.TemporarilyUnavailable("Another request holds what this one needs. Try again shortly.", retry_after=1)
    return None


def _sqlstate(exception: DatabaseError | InterfaceError) -> str | None:
    return getattr(exception.__cause__, "sqlstate", None)


# lock_not_available
_WAITED = {"55P03"}
# Shut down, crashed, starting; too many connections.
_AWAY = {"57P01", "57P02", "57P03", "53300"}


def _unreachable(exception: DatabaseError | InterfaceError) -> bool:
    """Whether the database is away; not that it was asked something it cannot do. A connection that is lost tells no state."""
    state = _sqlstate(exception)
    return state is None or state.startswith("08") or state in _AWAY


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
    """A page that asks nobody: what failed may be what the ordinary ones ask."""
    exception = sys.exc_info()[1]
    error = (isinstance(exception, Exception) and translate(exception)) or ServerError()
    if request.path.startswith("/api/"):
        return response(error)
    return HttpResponse(render_to_string("500.html", {"error": error}), status=error.status, headers=headers(error))
