"""One decorator for the methods of API views: authentication, scopes, body, idempotency, response and their OpenAPI description."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from contextmcp.common.api import Page, Schema, refuse_parameters, validated_data
from contextmcp.common.errors import DomainError
from contextmcp.common.idempotency import idempotent

from .authentication import caller
from .types import Caller


class ApiView(GenericAPIView[Any]):
    """Base of views whose methods are decorated with `endpoint`."""


class ApiListView(ApiView):
    """Base of views that list objects in pages."""

    pagination_class = Page


@dataclass(frozen=True, slots=True)
class Idempotency:
    """How a POST supports `Idempotency-Key` (see `contextmcp.common.idempotency.idempotent` for the arguments)."""

    owner: Callable[[Caller], object]
    keep: Callable[[Any], Any] = lambda data: data
    atomic: bool = True


PER_MEMBER = Idempotency(lambda actor: actor.membership_id)


def per_member_without(field: str) -> Idempotency:
    """Return `PER_MEMBER` for a response that contains a secret in `field`. A replayed response contains null instead of the secret."""
    return Idempotency(PER_MEMBER.owner, keep=lambda data: {**data, field: None})


def endpoint(
    operation_id: str,
    *,
    tag: str,
    scope: str | None = None,
    permission: str | None = None,
    check: Callable[[], None] | None = None,
    body: type[Schema] | None = None,
    body_description: Any = None,
    response: type[Schema] | None = None,
    many: bool = False,
    status: int = 200,
    idempotency: Idempotency | None = None,
    refusals: Sequence[type[DomainError]] = (),
    examples: Sequence[OpenApiExample] = (),
) -> Callable[[Callable[..., Any]], Callable[..., Response]]:
    """Return a decorator that turns `function(self, actor, data, **path)` into an `ApiView` method.

    Without `body`, the function receives no `data` argument.

    The caller must have `scope` and `permission`. If either is omitted, the service must check it. `check` runs before the body is
    validated and may raise a `DomainError`. The result is serialized with `response` and sent with `status`. With `many`, the result is a
    queryset and one page of it is sent. Without `response`, the status is 204.

    The OpenAPI operation is generated from the same arguments. `body_description` overrides the schema of `body`. `refusals` lists errors
    beyond those common to all operations.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Response]:
        @wraps(function)
        def handle(view: ApiView, request: Request, **path: Any) -> Response:
            actor = caller(request)
            actor.require(scope=scope, permission=permission)
            if check is not None:
                check()
            if function.__name__ == "get" and not many:
                refuse_parameters(request.query_params)
            arguments = [] if body is None else [validated_data(body, request)]

            def handle_request() -> Response:
                return _respond(view, function(view, actor, *arguments, **path))

            if idempotency is None:
                return handle_request()
            return idempotent(request, idempotency.owner(actor), handle_request, keep=idempotency.keep, atomic=idempotency.atomic)

        def _respond(view: ApiView, result: Any) -> Response:
            if response is None:
                return Response(status=204)
            if many:
                return view.get_paginated_response(response(view.paginate_queryset(result), many=True).data)
            return Response(response(result).data, status=status)

        handle.refusals = tuple(refusals)  # type: ignore[attr-defined]
        handle.idempotent = idempotency is not None  # type: ignore[attr-defined]
        responses: Any = {204: None} if response is None else response(many=True) if many else {status: response}
        facts: dict[str, Any] = {"request": body_description or body, "responses": responses, "examples": list(examples)}
        return extend_schema(operation_id=operation_id, tags=[tag], **facts)(handle)

    return decorate
