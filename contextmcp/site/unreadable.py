"""Django's admin takes a query string and a posted form on trust: what a field or Postgres cannot read would be a 500."""

from collections.abc import Callable

from django.core.exceptions import ValidationError
from django.db import DataError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse

from contextmcp.common.problems import bad_request

# An id that is none; a NUL, or a number beyond the column; a number beyond the machine's.
UNREADABLE = (ValidationError, DataError, OverflowError)


class UnreadableMiddleware:
    """In the admin it is a 400."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        if isinstance(exception, UNREADABLE) and request.path.startswith(reverse("admin:index")):
            return bad_request(request, exception)
        return None
