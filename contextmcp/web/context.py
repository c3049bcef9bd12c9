"""Template context of all pages. Values are evaluated lazily, when a template uses them."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.utils.functional import SimpleLazyObject

from accounts.authentication import memberships_of
from accounts.models import Organization
from accounts.types import Caller
from entitlements.catalog import CATALOG

from . import submissions
from .banners import banners
from .decorators import member_of
from .organization_state import organization_state
from .plan_status import plan_status


def site(request: WSGIRequest) -> dict[str, Any]:
    def lazily(read: Callable[[Caller], Any]) -> Any:
        def value() -> Any:
            caller = member_of(request) if hasattr(request, "user") else None
            return read(caller) if caller else None

        return SimpleLazyObject(value)

    return {
        "public_url": settings.PUBLIC_URL,
        "catalog": CATALOG,
        "me": lazily(lambda caller: caller),
        "plan_status": lazily(lambda caller: plan_status(organization_state(request, caller))),
        "entitlements": lazily(lambda caller: organization_state(request, caller).entitlements),
        "other_organizations": lazily(lambda caller: _others(request, caller)),
        "banners": lazily(lambda caller: banners(organization_state(request, caller))),
        "form_token": submissions.new_token,
    }


def _others(request: WSGIRequest, caller: Caller) -> list[Organization]:
    assert caller.user is not None
    others = [each.organization for each in memberships_of(request, caller.user) if each.organization_id != caller.organization.pk]
    return sorted(others, key=lambda each: each.name)
