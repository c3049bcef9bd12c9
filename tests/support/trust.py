"""Random requests with a customer's key, and what none of them may change."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from allauth.account.models import EmailAddress
from django.test import Client

from accounts.models import ApiKey, AuditEvent, Invitation, Membership
from accounts.roles import DEFAULT_KEY_SCOPES
from accounts.types import Caller
from billing.models import BillingAccount, CheckoutAttempt, Invoice, MeterReport, SubscriptionState
from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from entitlements.models import Grant, Override
from tests.contract.document import operations
from tests.factories.accounts import MembershipFactory, OrganizationFactory, UserFactory, key_of
from tests.factories.service_keys import service_key
from tests.support.properties import st
from usage.ingest.event_parsing import EventBody
from usage.models import OverageSetting, UsageCounter, UsageGauge, UsageHold, WebhookEndpoint
from usage.tracker import UsageTracker
from usage.webhooks.manager import WebhookManager

NAMES = ("credential", "organizationId")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
FEATURES = ("sessions", "projects", "best_practices", "context_cache_mb", "team_members", "context_queries", "session_creation", "x")
GATE = ("/api/usage/authorize", "/api/entitlements/check", "/api/usage/current", "/api/usage/events", "/api/usage/holds/{hold_id}/settle")
_SOME = operations()
_FIELDS = sorted(
    {name for each in _SOME if isinstance(each.example, dict) for name in each.example}
    | {
        "amount",
        "credit",
        "events",
        "feature",
        "hold",
        "holdSeconds",
        "idempotencyKey",
        "items",
        "occurredAt",
        "reason",
        "used",
        "value",
        *NAMES,
    }
)


@dataclass(frozen=True)
class GeneratedRequest:
    """One request. `{...}` in its path and `$...` in its values stand for IDs and keys of the stage."""

    on_gate: bool
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


_amounts = st.integers(-60, 60) | st.sampled_from([-(10**9), 10**9, -(2**63), 2**64, 1.5, -1.0, "-5", None, True])
_values = (
    _amounts
    | st.sampled_from(["sessions", "projects", "$key", "$organization", "$service", "owner", "enterprise", "", "2026-01-01T00:00:00Z"])
    | st.booleans()
    | st.text(max_size=8)
)
_item = st.fixed_dictionaries({"feature": st.sampled_from(FEATURES)}, optional={"amount": _amounts})
_event = st.fixed_dictionaries(
    {"feature": st.sampled_from(FEATURES)},
    optional={
        "amount": _amounts,
        "reason": st.just("r"),
        "credit": st.booleans(),
        "idempotencyKey": st.sampled_from(["a", "b"]),
        "occurredAt": st.sampled_from(["2020-01-01T00:00:00Z", "$now", "$soon"]),
        "hold": st.booleans(),
    },
)
_object = st.dictionaries(st.sampled_from(_FIELDS), _values | st.lists(_item, max_size=3), max_size=6)
_bodies = st.one_of(
    st.none(),
    _event,
    _item,
    _object,
    st.builds(lambda items: {"items": items}, st.lists(_item, min_size=1, max_size=3)),
    st.builds(lambda events: {"events": events}, st.lists(_event, min_size=1, max_size=3)),
    st.lists(_event, min_size=1, max_size=3),
    st.builds(lambda value: {"value": value}, _amounts),
    st.sampled_from([each.example for each in _SOME if each.example]),
    st.builds(lambda one, more: {**one, **more}, _event, st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, _values))),
    st.binary(max_size=20),
)
_headers = st.fixed_dictionaries(
    {},
    optional={
        "Idempotency-Key": st.sampled_from(["one", "two", "three"]),
        "ContextMCP-Credential": st.sampled_from(["$key", "$service", "x"]),
        "ContextMCP-Organization": st.sampled_from(["$organization", "x"]),
        "X-HTTP-Method-Override": st.sampled_from(METHODS),
        "X-Forwarded-For": st.just("127.0.0.1"),
        "Content-Type": st.sampled_from(
            [
                "application/json",
                "application/cloudevents+json",
                "application/cloudevents-batch+json",
                "application/x-www-form-urlencoded",
                "text/plain",
            ]
        ),
    },
)
_query = st.dictionaries(
    st.sampled_from(["organizationId", "limit", "_method", "api_key", "amount"]),
    st.sampled_from(["$organization", "$key", "-5", "PUT"]),
    max_size=2,
)
_known = st.sampled_from([(each.method, each.path) for each in _SOME])
_any = st.tuples(
    st.sampled_from(METHODS), st.sampled_from([*{each.path for each in _SOME}, "/api/auth/keys/{key_id}/rotate", "/admin/", "/"])
)
requests = st.one_of(
    st.builds(lambda place, *rest: GeneratedRequest(False, *place, *rest), _known | _any, _query, _headers, _bodies),
    st.builds(GeneratedRequest, st.just(True), st.sampled_from(METHODS), st.sampled_from(GATE), _query, _headers, _bodies),
    st.builds(GeneratedRequest, st.booleans(), st.just("POST"), st.just("/api/usage/authorize"), _query, _headers, _bodies),
)


@dataclass
class CustomerState:
    """What a customer's key must not change: `used` never decreases, `left` never increases, everything else is constant."""

    used: dict[str, int]
    left: dict[str, int]
    ended_holds: int
    fixed: dict[str, Any]


@dataclass
class Stage:
    """An organization whose default key has used every feature, and the two servers that answer it."""

    gate_port: int | None = None
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))
    statuses: dict[int, int] = field(default_factory=dict)
    latest: CustomerState | None = None  # The state after the last request and before the next one: only requests change it.

    def __post_init__(self) -> None:
        self.organization = OrganizationFactory(name="Acme", owner=UserFactory())
        self.owner = Membership.objects.select_related("user", "organization").get(organization=self.organization)
        self.member = MembershipFactory(organization=self.organization, user=UserFactory())
        self.service = service_key()
        tracker = UsageTracker(self.organization)
        tracker.record_events([EventBody("sessions", 20), EventBody("context_queries", 20)])
        for feature, value in (("projects", 1), ("best_practices", 3), ("context_cache_mb", 10)):
            tracker.set_gauge(feature, value)
        self.hold = tracker.hold("sessions", 3, seconds=86_400).answer.hold.id  # type: ignore[union-attr]
        OverageSetting.objects.create(organization=self.organization, feature="sessions", enabled=False, cap_minor=100, currency="usd")
        WebhookManager(self.organization).add(Caller.member(self.owner), "https://acme.example/hooks")
        self.renew_key()

    def renew_key(self) -> None:
        """Replace all keys of the customer by a new default key. Customers may rotate the key that they present, which ends it."""
        keys = ApiKey.objects.filter(organization=self.organization)
        keys.update(created_at=now() - timedelta(hours=2))
        # These keys count towards the limit of active keys per organization.
        keys.filter(revoked_at=None).update(revoked_at=now())
        self.key = key_of(self.owner, sorted(DEFAULT_KEY_SCOPES))
        self.key_row = keys.latest("created_at")
        self.latest = None

    def key_ends(self) -> bool:
        """Return whether the key was revoked, or rotated and therefore has an end."""
        self.key_row.refresh_from_db()
        return self.key_row.revoked_at is not None or self.key_row.expires_at is not None

    def state(self) -> CustomerState:
        entitlements = EntitlementsManager(self.organization).entitlements()
        rows = list(UsageCounter.objects.filter(organization=self.organization))
        used = {f"{row.feature} {row.period_start}": row.used for row in rows}
        remaining = {
            f"{row.feature} {row.period_start}": (entitlements.features[row.feature].limit or 0) + row.credited - row.used for row in rows
        }
        for level in UsageGauge.objects.filter(organization=self.organization):
            used[level.feature], remaining[level.feature] = level.value, -level.value
        return CustomerState(used, remaining, UsageHold.objects.filter(state__in=["settled", "released"]).count(), self._fixed())

    def _fixed(self) -> dict[str, Any]:
        values = {
            "people": sorted(Membership.objects.values_list("organization_id", "user_id", "role")),
            "addresses": sorted(EmailAddress.objects.values_list("user_id", "email", "verified", "primary")),
            "scopes": sorted({scope for scopes in ApiKey.objects.values_list("scopes", flat=True) for scope in scopes}),
            "closed": sorted(type(self.organization).objects.exclude(closed_at=None).values_list("pk", flat=True)),
            "overage": sorted(OverageSetting.objects.values_list("organization_id", "feature", "enabled", "cap_minor")),
            "endpoints": sorted(WebhookEndpoint.objects.values_list("pk", "url", "enabled")),
            "restated": AuditEvent.objects.filter(action__startswith="usage.").count(),
        }
        for model in (Invitation, Grant, Override, BillingAccount, CheckoutAttempt, Invoice, MeterReport, SubscriptionState):
            values[model.__name__] = model.objects.count()
        return values

    def send(self, request: GeneratedRequest) -> int:
        """Send the request with the customer's key. Return the status, or 0 if the connection was closed."""
        path = request.path
        for name, value in self._ids().items():
            path = path.replace("{" + name + "}", value)
        query = "&".join(f"{name}={self._filled(value)}" for name, value in request.query.items())
        if query:
            path = f"{path}?{query}"
        headers = {"Content-Type": "application/json"} | {name: str(self._filled(value)) for name, value in request.headers.items()}
        headers["Authorization"] = f"Bearer {self.key}"
        body = (
            request.body
            if isinstance(request.body, bytes)
            else b""
            if request.body is None
            else json.dumps(self._filled(request.body)).encode()
        )
        if request.on_gate and self.gate_port is not None:
            status = self._ask_gate(request.method, path, headers, body)
        else:
            kind = headers.pop("Content-Type")
            status = self.client.generic(request.method, path, body, content_type=kind, headers=headers).status_code
        self.statuses[status] = self.statuses.get(status, 0) + 1
        return status

    def _ask_gate(self, method: str, path: str, headers: dict[str, str], body: bytes) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.gate_port or 0, timeout=30)
        with suppress(http.client.HTTPException, ConnectionError):
            connection.request(method, path, body, headers)
            return connection.getresponse().status
        return 0

    def _ids(self) -> dict[str, str]:
        row = ApiKey.objects.filter(organization=self.organization).latest("created_at")
        endpoint = WebhookEndpoint.objects.filter(organization=self.organization).first()
        return {
            "hold_id": str(self.hold),
            "feature": "projects",
            "key_id": str(row.pk),
            "member_id": str(self.member.pk),
            "invitation_id": str(UUID(int=1)),
            "endpoint_id": str(endpoint.pk if endpoint else UUID(int=1)),
            "delivery_id": str(UUID(int=1)),
        }

    def _filled(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._filled(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._filled(inner) for inner in value]
        present = now()
        known = {
            "$key": self.key,
            "$organization": str(self.organization.pk),
            # A string of the service key's form. The service key itself would have its rights.
            "$service": f"{self.service[:20]}{'0' * (len(self.service) - 20)}",
            "$now": present.isoformat(),
            "$soon": (present + timedelta(minutes=4)).isoformat(),
        }
        return known.get(value, value) if isinstance(value, str) else value


def gains(before: CustomerState, after: CustomerState) -> list[str]:
    """Return a description of what the customer gained between two states."""
    descriptions = [
        f"used of {name} fell from {value} to {after.used.get(name)}"
        for name, value in before.used.items()
        if after.used.get(name, value - 1) < value
    ]
    descriptions += [
        f"remaining of {name} rose from {value} to {after.left.get(name)}"
        for name, value in before.left.items()
        if after.left.get(name, value + 1) > value
    ]
    if after.ended_holds != before.ended_holds:
        descriptions.append("a hold was ended")
    descriptions += [f"{name}: {value} became {after.fixed[name]}" for name, value in before.fixed.items() if after.fixed[name] != value]
    return descriptions


def attempt(stage: Stage, request: GeneratedRequest) -> list[str]:
    """Send one request and return what it gained."""
    before = stage.latest or stage.state()
    stage.send(request)
    stage.latest = stage.state()
    gained = gains(before, stage.latest)
    if stage.key_ends():
        stage.renew_key()
    return gained
