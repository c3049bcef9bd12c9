"""What every page may show. Nothing is looked up before a template asks."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.utils.functional import SimpleLazyObject

from accounts.models import Organization
from accounts.types import Caller
from entitlements.manager import EntitlementsManager

from .banners import Banner, banners
from .people import member_of


def site(request: WSGIRequest) -> dict[str, Any]:
    def lazily(look: Callable[[Caller], Any]) -> Any:
        def found() -> Any:
            me = member_of(request) if hasattr(request, "user") else None
            return look(me) if me else None

        return SimpleLazyObject(found)

    return {
        "public_url": settings.PUBLIC_URL,
        "me": lazily(lambda me: me),
        "entitlements": lazily(lambda me: EntitlementsManager(me.organization).entitlements()),
        "other_organizations": lazily(_others),
        "banners": lazily(_banners),
    }


def _others(me: Caller) -> list[Organization]:
    assert me.user is not None
    return list(me.user.organizations.filter(closed_at=None).exclude(pk=me.organization.pk).order_by("name"))


def _banners(me: Caller) -> list[Banner]:
    return banners(me)
