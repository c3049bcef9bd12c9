"""Audit which personal data staff opened, and the requests to the admin that were denied.

Both cost one INSERT after the response was made, and never fail the request.
"""

import logging
import re
from collections.abc import Callable
from typing import Any

from django.contrib.admin.sites import site
from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from accounts import audit
from accounts.models import AuditEvent, Organization, User
from contextmcp.common.clock import now
from contextmcp.common.ids import as_uuid

log = logging.getLogger(__name__)

VIEWED = "staff.viewed"
REFUSED = "staff.refused"
MAX_REFUSED_PER_MINUTE = 30
# The pages and lists of rows with personal data, below the admin's prefix.
_PERSONAL = re.compile(
    r"(?P<model>accounts/(?:organization|user|membership|invitation)|account/emailaddress|common/outgoingemail)/"
    r"(?:(?P<pk>[^/]{1,64})/(?:change|history)/)?"
)
_ORGANIZATION = re.compile(r"organizations/(?P<pk>[0-9a-f-]{36})/.*")


class StaffAccessMiddleware:
    """Records `staff.viewed` once per person, object and hour, and `staff.refused` at most `MAX_REFUSED_PER_MINUTE` times per person."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        prefix = reverse("admin:index")
        if request.path.startswith(prefix) and isinstance(request.user, User):
            path = request.path.removeprefix(prefix)
            try:
                _record(request, request.user, response, path)
            except DatabaseError:
                log.exception("An access to the admin was not recorded")
        return response

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        """Record a list action that the user may not run. Django answers it with a message instead of status 403."""
        model_admin = getattr(view, "model_admin", None)
        # The body of other requests is not read here. Their views parse it themselves, and reject media types that `request.POST` would
        # accept.
        if request.method != "POST" or model_admin is None:
            return
        action = getattr(type(model_admin), request.POST.get("action", ""), None)
        permission = getattr(action, "confirmed_permission", None)
        if permission and request.user.is_active and not request.user.has_perm(permission):
            request.refused_action = request.POST["action"]  # type: ignore[attr-defined]


def _record(request: HttpRequest, user: User, response: HttpResponse, path: str) -> None:
    # Most requests record nothing, so each branch opens its own transaction.
    if _is_refused(request, response):
        with transaction.atomic():
            _record_refusal(request, user)
    elif request.method == "GET" and response.status_code == 200 and user.is_staff and (viewed := _viewed(path)):
        model, pk = viewed
        organization_id = as_uuid(pk) if model == "accounts.organization" else None
        organization = Organization(pk=organization_id) if organization_id else None
        with transaction.atomic():
            audit.record(VIEWED, organization=organization, actor=user, target=f"{model}:{pk}", once=True)


def _record_refusal(request: HttpRequest, user: User) -> None:
    recent = AuditEvent.objects.filter(action=REFUSED, actor_user=user, created_at__gte=now().replace(second=0, microsecond=0))
    if recent[:MAX_REFUSED_PER_MINUTE].count() < MAX_REFUSED_PER_MINUTE:
        action = getattr(request, "refused_action", None)
        after = {"action": action} if action else None
        audit.record(REFUSED, organization=None, actor=user, target=f"{request.method} {request.path}", after=after, once=True)


def _is_refused(request: HttpRequest, response: HttpResponse) -> bool:
    if request.path == reverse("admin:login"):
        return False
    if response.status_code == 403 or hasattr(request, "refused_action"):
        return True
    # The admin redirects users who are not staff to its sign-in page.
    return (
        not site.has_permission(request) and response.status_code == 302 and response.headers["Location"].startswith(reverse("admin:login"))
    )


def _viewed(path: str) -> tuple[str, str] | None:
    """Return the model and the primary key of the page's object ("list" for lists), or None for pages without personal data."""
    if match := _ORGANIZATION.fullmatch(path):
        return "accounts.organization", match["pk"]
    if match := _PERSONAL.fullmatch(path):
        return match["model"].replace("/", "."), match["pk"] or "list"
    return None
