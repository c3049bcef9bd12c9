"""How a request says who is asking: an API key, or the session of a member."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import structlog
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, get_authorization_header
from rest_framework.request import Request

from .errors import InvalidKeyFormat, PermissionDenied, Unauthenticated
from .keys import is_service_key
from .models import Membership, User
from .principals import cache
from .service_principals import caller_for, name_customer, open_organization, service_keys
from .types import Caller

SESSION_ORGANIZATION = "organization_id"


def authenticate_key(raw: str) -> Caller:
    """The caller a key speaks for. Raises the refusal; an unknown key and a wrong secret are the same one."""
    _, row = cache.row(raw)
    membership = row.creator
    assert membership is not None  # `admit` refuses such a key
    membership.organization = row.organization
    return Caller.member(membership, row)


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer <key>`. A key that is sent and not good is an answer: the session is not tried after it."""

    def authenticate(self, request: Request) -> tuple[User, Caller] | None:
        header = get_authorization_header(request)
        if not header:
            return None
        scheme, _, raw = header.strip().partition(b" ")
        if scheme.lower() != b"bearer":
            raise InvalidKeyFormat("Send the API key as: Authorization: Bearer <key>.")
        found = authenticate_key(raw.strip().decode("latin-1"))
        assert found.user is not None
        structlog.contextvars.bind_contextvars(organization=str(found.organization.pk), key=str(found.key.pk) if found.key else "")
        return found.user, found

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class ServiceKeyAuthentication(BaseAuthentication):
    """A service key together with the customer that the request names (see `service_principals`).

    What is left of the body without the customer's name is in `request._request.named_body`.
    """

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
            return service, caller_for(service, open_organization(organization_id))
        customer = authenticate_key(credential)
        return service, replace(customer, scopes=customer.scopes & service.scopes, service=service)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class SignedInAuthentication(SessionAuthentication):
    """A signed-in user (CSRF-checked), whether or not a member of anything. `request.auth` is None."""

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"

    def enforce_csrf(self, request: Request) -> None:
        """On Django's request: asked for a form's fields, DRF's would parse the body away from views that read it themselves."""
        super().enforce_csrf(request._request)  # type: ignore[arg-type]


class MemberSessionAuthentication(SignedInAuthentication):
    """A signed-in member of an organization (CSRF-checked)."""

    def authenticate(self, request: Request) -> tuple[User, Caller] | None:
        found = super().authenticate(request)
        if found is None:
            return None
        membership = current_membership(request._request)
        if membership is None:
            raise PermissionDenied("You belong to no organization.")
        return membership.user, Caller.member(membership)


def current_membership(request: HttpRequest) -> Membership | None:
    """Where the signed-in user is at work: the organization chosen in the session while it stands, else the first joined."""
    user = request.user
    if isinstance(user, AnonymousUser) or not user.is_active:
        return None
    memberships = Membership.objects.select_related("organization", "user").filter(user=user, organization__closed_at=None)
    chosen = _uuid(request.session.get(SESSION_ORGANIZATION))
    found = memberships.filter(organization_id=chosen).first() if chosen else None
    return found or memberships.order_by("created_at", "id").first()


def caller(request: Request | HttpRequest) -> Caller:
    """Who is asking, in a DRF view or an ordinary one. Raises `Unauthenticated`, or `PermissionDenied` for a member of nothing."""
    if isinstance(request, Request):
        if isinstance(request.auth, Caller):
            return request.auth
        raise Unauthenticated
    if not request.user.is_authenticated:
        raise Unauthenticated("Sign in first.")
    membership = current_membership(request)
    if membership is None:
        raise PermissionDenied("You belong to no organization.")
    return Caller.member(membership)


def _uuid(value: Any) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None
