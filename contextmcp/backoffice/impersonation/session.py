"""The part of the session that belongs to an impersonation. The sign-in and the second factor of the staff member stay untouched."""

from typing import Any

from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from allauth.account.internal.flows.login import _AUTHENTICATION_METHODS_USER_SESSION_KEY
from allauth.usersessions.models import UserSession
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.http import HttpRequest
from django.middleware.csrf import rotate_token

from accounts.adapter import SESSION_LAST_SEEN_AT, SESSION_SIGNED_IN_AT
from accounts.authentication import SESSION_ORGANIZATION
from accounts.models import Impersonation

SESSION_IMPERSONATION = "impersonation"
_SIGN_IN = frozenset(
    {
        SESSION_KEY,
        BACKEND_SESSION_KEY,
        HASH_SESSION_KEY,
        SESSION_SIGNED_IN_AT,
        SESSION_LAST_SEEN_AT,
        AUTHENTICATION_METHODS_SESSION_KEY,
        _AUTHENTICATION_METHODS_USER_SESSION_KEY,
        "_session_expiry",
    }
)


def impersonation_id(request: HttpRequest) -> str | None:
    """Return the ID of the session's impersonation. It may have ended."""
    stored: dict[str, Any] | None = request.session.get(SESSION_IMPERSONATION)
    return stored["id"] if stored else None


def enter(request: HttpRequest, impersonation: Impersonation) -> None:
    """Set the staff member's own session data aside, and select the member's organization."""
    leave(request)
    request.session[SESSION_IMPERSONATION] = {"id": str(impersonation.pk), "own": _take_all(request)}
    request.session[SESSION_ORGANIZATION] = str(impersonation.organization_id)
    _renew(request)


def leave(request: HttpRequest) -> None:
    """Delete what was stored while viewing as the member, and restore the staff member's own data."""
    stored: dict[str, Any] | None = request.session.pop(SESSION_IMPERSONATION, None)
    if stored is not None:
        _take_all(request)
        request.session.update(stored["own"])
        _renew(request)


def _take_all(request: HttpRequest) -> dict[str, Any]:
    names = [name for name in request.session.keys() if name not in _SIGN_IN]  # noqa: SIM118 - a session cannot be iterated
    return {name: request.session.pop(name) for name in names}


def _renew(request: HttpRequest) -> None:
    """Rotate the session key, so that a stolen or fixed key becomes invalid, and update the user's list of sessions."""
    previous = request.session.session_key
    request.session.cycle_key()
    UserSession.objects.filter(session_key=previous).update(session_key=request.session.session_key)
    rotate_token(request)
