"""Return 400 for invalid input in the admin. Django's admin does not validate IDs and filters, which would cause a 500."""

from collections.abc import Callable

from django.core.exceptions import ValidationError
from django.db import DataError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse

from contextmcp.common.problems import bad_request

# Causes: a malformed ID (ValidationError), a NUL character or a number beyond the column's range (DataError), and a number beyond the range
# of a C integer (OverflowError).
UNREADABLE = (ValidationError, DataError, OverflowError)


class AdminBadRequestMiddleware:
    """Returns 400 for errors of invalid input in admin URLs."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        if isinstance(exception, UNREADABLE) and request.path.startswith(reverse("admin:index")):
            return bad_request(request, exception)
        return None
