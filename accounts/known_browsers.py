"""Browsers that a user has signed in with. A sign-in with another one is reported to the user by email."""

from datetime import timedelta

from allauth.account.adapter import get_adapter
from allauth.core.internal import ratelimit
from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponseBase

from contextmcp.common.clock import now

from .models import AuditEvent, User

COOKIE = "known_users"
_SALT = "accounts.known_browsers"
# Browsers limit the age of cookies to 400 days.
_MAX_AGE = timedelta(days=400)
_MAX_USERS = 10
# Sign-ins from a network that the user signed in from during this time are not reported either.
_KNOWN_NETWORK = timedelta(days=90)


def note_sign_in(request: HttpRequest, answer: HttpResponseBase, user: User) -> None:
    """Store in a signed cookie that the user signed in with this browser. Notify the user if it and its network are new to them."""
    users = _users(request)
    if user.pk not in users and _is_unexpected(request, user):
        get_adapter(request).send_notification_mail("account/email/new_sign_in", user)
    users = [user.pk, *(each for each in users if each != user.pk)][:_MAX_USERS]
    answer.set_cookie(
        COOKIE,
        signing.dumps(users, salt=_SALT),
        max_age=_MAX_AGE,
        path="/accounts/",
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _users(request: HttpRequest) -> list[int]:
    try:
        users: list[int] = signing.loads(request.COOKIES.get(COOKIE, ""), salt=_SALT)
    except signing.BadSignature:
        return []
    return users


def _is_unexpected(request: HttpRequest, user: User) -> bool:
    """Return whether the user signed in before, and not from this network. The event of the present sign-in is recorded already."""
    events = AuditEvent.objects.filter(actor_user=user, action="user.signed_in").order_by("-created_at", "-id")
    earlier = list(events.values_list("ip_address", "created_at")[1:101])
    recent = {ratelimit.truncate_ip(address) for address, at in earlier if address and at > now() - _KNOWN_NETWORK}
    return bool(earlier) and ratelimit.get_ip(request) not in recent
