"""Session limits, and the list of a user's sessions (rows of allauth.usersessions)."""

import time
from collections.abc import Callable

from allauth.account.adapter import get_adapter
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from . import audit
from .adapter import SESSION_LAST_SEEN_AT, SESSION_SIGNED_IN_AT
from .models import User

# How often the activity of a session is recorded. This is also the precision of its idle time.
TOUCH_SECONDS = 60
# Requesting a passkey challenge or opening an invitation creates a session without signing in. Its row is kept for less time.
ANONYMOUS_SECONDS = 24 * 3600


class SessionAgeMiddleware:
    """Ends sessions that are too old or idle for too long. Staff have shorter limits (ASVS 3.3.2, NIST SP 800-63B 4.2.3)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Without the cookie the session is not accessed, so that responses to API keys do not vary by cookie.
        if settings.SESSION_COOKIE_NAME in request.COOKIES and SESSION_KEY in request.session and request.user.is_authenticated:
            _limit(request, request.user)
        response = self.get_response(request)
        if request.session.modified and not request.session.is_empty():
            _limit_anonymous(request)
        return response


def _limit(request: HttpRequest, user: User) -> None:
    present = time.time()
    signed_in_at = request.session.setdefault(SESSION_SIGNED_IN_AT, present)
    last_seen_at = request.session.get(SESSION_LAST_SEEN_AT, signed_in_at)
    limits = settings.STAFF_SESSION_LIMITS if user.is_staff else settings.SESSION_LIMITS
    if present - signed_in_at > limits["age"] or present - last_seen_at > limits["idle"]:
        audit.record("user.session_expired", organization=None, actor=user, target=user.email)
        UserSession.objects.filter(session_key=request.session.session_key).delete()
        get_adapter().logout(request)
        messages.info(request, _("Your session has expired. Sign in again."))
    elif present - last_seen_at > TOUCH_SECONDS:
        request.session[SESSION_LAST_SEEN_AT] = present
        UserSession.objects.create_from_request(request)


def _limit_anonymous(request: HttpRequest) -> None:
    if SESSION_KEY not in request.session:
        request.session.set_expiry(ANONYMOUS_SECONDS)
    elif request.session.get_expiry_age() <= ANONYMOUS_SECONDS:
        # The user signed in, so the session now has the limits of `_limit`.
        request.session.set_expiry(None)


def sessions_of(user: User) -> list[UserSession]:
    """Return the user's valid sessions, most recently used first. Rows of invalid sessions are deleted."""
    return sorted(UserSession.objects.purge_and_list(user), key=lambda row: row.last_seen_at, reverse=True)


def end_session(user: User, session: UserSession) -> None:
    """Sign the user out of one browser."""
    session.end()
    audit.record("user.session_ended", organization=None, actor=user, target=user.email, before={"ip_address": session.ip})
