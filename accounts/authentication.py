"""Authentication classes of the API: API keys, service keys and sessions."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
from allauth.account.internal.flows.reauthentication import is_reauthentication_required
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, get_authorization_header
from rest_framework.request import Request

from contextmcp.common.errors import DomainError

from .errors import (
    CustomerNotFound,
    CustomerRequired,
    EnvironmentMismatch,
    InsufficientScope,
    InvalidKeyFormat,
    KeyExpired,
    KeyNotFound,
    KeyRevoked,
    PermissionDenied,
    ReauthenticationRequired,
    Unauthenticated,
)
from .key_format import is_service_key
from .models import Membership, User
from .principal_cache import cache
from .service_principals import CREDENTIAL_HEADER, ORGANIZATION_HEADER, caller_for, name_customer, open_organization, service_keys
from .types import Caller

SESSION_ORGANIZATION = "organization_id"


# A request with a service key can contain a customer's credential of another kind than an API key. This maps the prefix of each kind to the
# function that authenticates it. `accounts.oauth` registers access tokens here, because this module cannot import that package.
CREDENTIALS: dict[str, Callable[[str], Caller]] = {}


def authenticate_credential(raw: str) -> Caller:
    """Return the caller that a customer's credential in a request with a service key authenticates.

    Raises the errors of `authenticate_key` for an API key, and those of the function in `CREDENTIALS` for another credential.
    """
    for prefix, authenticate in CREDENTIALS.items():
        if raw.startswith(prefix):
            return authenticate(raw)
    return authenticate_key(raw)


def authenticate_key(raw: str) -> Caller:
    """Return the caller that an API key authenticates.

    Raises:
        InvalidKeyFormat, EnvironmentMismatch: the key is malformed or of another environment.
        KeyNotFound: the key does not exist, or its secret is wrong.
        KeyExpired, KeyRevoked, PermissionDenied: the key, its organization or its creator is not active.
    """
    _, row = cache.row(raw)
    membership = row.creator
    assert membership is not None  # `authorize_key_row` refuses keys without a creator
    membership.organization = row.organization
    return Caller.member(membership, row)


class ApiKeyAuthentication(BaseAuthentication):
    """Authenticates `Authorization: Bearer <key>`. An invalid key is refused; the session is not tried afterwards."""

    # The OpenAPI document lists these errors. The same applies to `refusals` in the other classes of this module.
    refusals = (
        Unauthenticated,
        InvalidKeyFormat,
        KeyNotFound,
        KeyExpired,
        KeyRevoked,
        EnvironmentMismatch,
        InsufficientScope,
        PermissionDenied,
    )

    def authenticate(self, request: Request) -> tuple[User, Caller] | None:
        header = get_authorization_header(request)
        if not header:
            return None
        scheme, _, raw = header.strip().partition(b" ")
        if scheme.lower() != b"bearer":
            raise InvalidKeyFormat("Send the API key as: Authorization: Bearer <key>.")
        actor = authenticate_key(raw.strip().decode("latin-1"))
        assert actor.user is not None
        _log_caller(actor)
        return actor.user, actor

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class ServiceKeyAuthentication(BaseAuthentication):
    """Authenticates a service key and the customer that the request names (see `service_principals`).

    The body without the fields that name the customer is stored in `request._request.named_body`.
    """

    refusals: tuple[type[DomainError], ...] = (CustomerRequired, CustomerNotFound)
    # Used in the OpenAPI document: headers of all operations, and query parameters of operations without a body.
    named_in_headers = (
        (CREDENTIAL_HEADER, "With a service key: the customer's API key, or an access token of a connected app."),
        (ORGANIZATION_HEADER, "With a service key: the ID of the customer's organization."),
    )
    named_in_query = (("organizationId", "With a service key, instead of a header: the ID of the customer's organization."),)

    def authenticate(self, request: Request) -> tuple[Any, Caller] | None:
        scheme, _, raw = get_authorization_header(request).strip().partition(b" ")
        text = raw.strip().decode("latin-1")
        if scheme.lower() != b"bearer" or not is_service_key(text):
            return None
        service = service_keys.get(text) or service_keys.load(text)
        inner = request._request
        kind = request.headers.get("Content-Type", "")
        credential, organization_id, body = name_customer(request.headers, request.query_params.dict(), inner.body, kind)
        inner.named_body = body  # type: ignore[attr-defined]
        if credential is None:
            assert organization_id is not None
            actor = caller_for(service, open_organization(organization_id))
        else:
            customer = authenticate_credential(credential)
            actor = replace(customer, scopes=customer.scopes & service.scopes, service=service)
        _log_caller(actor)
        return service, actor

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class SignedInAuthentication(SessionAuthentication):
    """Authenticates the session of a user, with a CSRF check. `request.auth` is None; the user may have no organization."""

    refusals: tuple[type[DomainError], ...] = (Unauthenticated, PermissionDenied)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"

    def enforce_csrf(self, request: Request) -> None:
        """Check Django's request. DRF's request would parse the body as a form, and views could not read it any more."""
        super().enforce_csrf(request._request)  # type: ignore[arg-type]


class MemberSessionAuthentication(SignedInAuthentication):
    """Authenticates the session of a member of an organization, with a CSRF check."""

    refusals = (Unauthenticated, PermissionDenied, ReauthenticationRequired)

    def authenticate(self, request: Request) -> tuple[User, Caller] | None:
        if super().authenticate(request) is None:
            return None
        member = session_caller(request._request)
        if member is None:
            raise PermissionDenied("You are not a member of any organization.")
        assert member.user is not None
        _log_caller(member)
        return member.user, member


def _log_caller(actor: Caller) -> None:
    """Add the caller's IDs to all log lines of this request."""
    ids = {
        "organization": actor.organization.pk,
        "key": actor.key.pk if actor.key else None,
        "service_key": actor.service.key_id if actor.service else None,
        "user": actor.user.pk if actor.user else None,
    }
    structlog.contextvars.bind_contextvars(**{name: str(value) for name, value in ids.items() if value is not None})


def current_membership(request: HttpRequest) -> Membership | None:
    """Return the membership in the organization that the session selects, or else in the organization that the user joined first."""
    user = request.user
    if isinstance(user, AnonymousUser) or not user.is_active:
        return None
    memberships = memberships_of(request, user)
    chosen = request.session.get(SESSION_ORGANIZATION)
    return next((each for each in memberships if str(each.organization_id) == chosen), next(iter(memberships), None))


def memberships_of(request: HttpRequest, user: User) -> list[Membership]:
    """Return the user's memberships in open organizations, in the order in which the user joined. They are queried once per request."""
    if not hasattr(request, "_memberships"):
        memberships = Membership.objects.select_related("organization", "user").filter(user=user, organization__closed_at=None)
        request._memberships = list(memberships.order_by("created_at", "id"))  # type: ignore[attr-defined]
    cached: list[Membership] = request._memberships  # type: ignore[attr-defined]
    return cached


def session_caller(request: HttpRequest) -> Caller | None:
    """Return the signed-in member, or None for anonymous users and users without an organization."""
    membership = current_membership(request)
    if membership is None:
        return None
    if getattr(request, "impersonation", None) is not None:
        # The session belongs to staff who view the product as the member. They authenticated before they started, and cannot authenticate
        # as the member.
        return Caller.member(membership)
    # `must_reauthenticate` is called only before a sensitive change, because it may query the database.
    return Caller.member(membership, must_reauthenticate=partial(is_reauthentication_required, request, app="accounts"))


def require_recent_authentication(request: HttpRequest) -> None:
    """Raise `ReauthenticationRequired` if the session's last authentication is too old for a change of the user's own account."""
    if is_reauthentication_required(request, app="accounts"):
        raise ReauthenticationRequired


def staff(request: HttpRequest) -> User:
    """Return the signed-in user of an admin request."""
    assert isinstance(request.user, User)
    return request.user


def caller(request: Request | HttpRequest) -> Caller:
    """Return the caller of a DRF or Django request.

    Raises:
        Unauthenticated: the request has no valid credentials.
        PermissionDenied: the user does not belong to an organization.
    """
    if isinstance(request, Request):
        if isinstance(request.auth, Caller):
            return request.auth
        raise Unauthenticated
    if not request.user.is_authenticated:
        raise Unauthenticated("Sign in first.")
    member = session_caller(request)
    if member is None:
        raise PermissionDenied("You are not a member of any organization.")
    return member
