"""The decorator of the back office's own views."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

View = Callable[..., HttpResponseBase]


def staff_page(permission: str | None) -> Callable[[View], View]:
    """Require signed-in staff with `permission` ("app.codename"), or any staff if it is None.

    Staff without the permission get 403. Other users are redirected to the admin's sign-in page.
    """

    def wrap(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if permission is not None and not request.user.has_perm(permission):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        # A test reads this attribute. It opens every view with every role.
        checked.staff_permission = permission  # type: ignore[attr-defined]
        return admin.site.admin_view(checked)

    return wrap


def page_context(request: HttpRequest, title: str, **context: Any) -> dict[str, Any]:
    """Return the template context of a back-office page: the admin's own (navigation, theme), the title and `context`."""
    return {**admin.site.each_context(request), "title": title, **context}
