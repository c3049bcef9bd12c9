"""The route table of the usage API. The gate uses it directly, and Django's URLs, views and OpenAPI document are derived from it."""

from typing import Protocol

from msgspec import Struct

from accounts.errors import ServiceKeyRequired
from usage.authorize.requests import JSON, check_media_type
from usage.ingest.event_parsing import CONTENT_TYPES
from usage.operations.effects import Operation

from . import handlers
from .handlers import Handler, UsageRequest
from .responses import Reply


class Authority(Protocol):
    """A `Principal` of the gate or a `Caller` of Django."""

    def require(self, *, scope: str | None = None, permission: str | None = None) -> None:
        """Raise `InsufficientScope` or `PermissionDenied` if the caller lacks the scope or the permission."""


class Route(Struct, frozen=True, kw_only=True):
    """One operation of the API.

    `path` is a Django route below `/api/`. `media_types` are those of the body; a route without any has no body. With `service_only` the
    caller must be a service key, because customers may not change usage that is already counted. `idempotent` routes accept
    Idempotency-Key. Routes `on_gate` are also served by the gate.
    """

    name: str
    method: str
    path: str
    scope: str
    handler: Handler
    media_types: tuple[str, ...] = (JSON,)
    service_only: bool = False
    idempotent: bool = False
    on_gate: bool = False

    @property
    def methods(self) -> tuple[str, ...]:
        """Return the methods that the URL accepts. A GET route also accepts HEAD."""
        return ("GET", "HEAD") if self.method == "GET" else (self.method,)

    @property
    def requirement(self) -> str:
        """Return the sentence of the API's documentation that says which callers the route accepts."""
        return f"Requires {'a service key with ' if self.service_only else ''}the scope `{self.scope}`."

    def start(self, authority: Authority, request: UsageRequest) -> Operation[Reply]:
        """Check the caller and the media type, and return the operation that handles the request.

        Raises:
            ServiceKeyRequired: the route is `service_only` and the caller is not a service key.
            InsufficientScope, PermissionDenied: the caller lacks the scope.
            UnsupportedMediaType: the body is of another media type.
        """
        if self.service_only and request.caller.service is None:
            raise ServiceKeyRequired
        authority.require(scope=self.scope)
        if self.media_types:
            check_media_type(request.headers.get("content-type"), self.media_types)
        return self.handler(request)


AUTHORIZE = Route(
    name="authorize",
    method="POST",
    path="usage/authorize",
    scope="usage:write",
    handler=handlers.authorize,
    idempotent=True,
    on_gate=True,
)
CHECK = Route(
    name="check",
    method="POST",
    path="entitlements/check",
    scope="entitlements:read",
    handler=handlers.check,
    on_gate=True,
)
EVENTS = Route(
    name="events",
    method="POST",
    path="usage/events",
    scope="usage:write",
    handler=handlers.record_events,
    media_types=CONTENT_TYPES,
    service_only=True,
    idempotent=True,
    on_gate=True,
)
CURRENT_USAGE = Route(
    name="current-usage",
    method="GET",
    path="usage/current",
    scope="usage:read",
    handler=handlers.current_usage,
    media_types=(),
    on_gate=True,
)
USAGE_HISTORY = Route(
    name="usage-history",
    method="GET",
    path="usage/history",
    scope="usage:read",
    handler=handlers.usage_history,
    media_types=(),
)
SETTLE_HOLD = Route(
    name="settle-hold",
    method="POST",
    path="usage/holds/<uuid:hold_id>/settle",
    scope="usage:write",
    handler=handlers.settle_hold,
    service_only=True,
    idempotent=True,
    on_gate=True,
)
RELEASE_HOLD = Route(
    name="release-hold",
    method="POST",
    path="usage/holds/<uuid:hold_id>/release",
    scope="usage:write",
    handler=handlers.release_hold,
    service_only=True,
    idempotent=True,
    on_gate=True,
)
SET_GAUGE = Route(
    name="set-gauge",
    method="PUT",
    path="usage/gauges/<str:feature>",
    scope="usage:write",
    handler=handlers.set_gauge,
    service_only=True,
)
DECREASE_GAUGE = Route(
    name="decrease-gauge",
    method="POST",
    path="usage/gauges/<str:feature>/release",
    scope="usage:write",
    handler=handlers.decrease_gauge,
    service_only=True,
    idempotent=True,
)
ROUTES = (CHECK, AUTHORIZE, EVENTS, CURRENT_USAGE, USAGE_HISTORY, SETTLE_HOLD, RELEASE_HOLD, SET_GAUGE, DECREASE_GAUGE)
