"""Django, the gate and the OpenAPI document follow the route table of the usage API."""

import asyncio
import json
import re
from uuid import uuid4

import pytest
from django.urls import resolve

from accounts.key_authorization import authorize_key_row
from accounts.service_principals import service_keys
from contextmcp.common.errors import DomainError, NotFound, ValidationFailed
from contextmcp.gate.app import find_route
from contextmcp.gate.driver import AsyncDriver
from entitlements.errors import FeatureNotAvailable
from tests.contract.document import document
from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.factories.service_keys import service_key
from tests.factories.usage import UsageCounterFactory
from usage.api.handlers import UsageRequest
from usage.api.routes import AUTHORIZE, CHECK, CURRENT_USAGE, EVENTS, RELEASE_HOLD, ROUTES, SETTLE_HOLD
from usage.api.urls import VIEWS
from usage.errors import QuotaExceeded
from usage.operations.caller import UsageCaller
from usage.operations.sync_driver import drive

HOLD = uuid4()


def url(route):
    return "/api/" + re.sub("<str:feature>", "projects", route.path).replace("<uuid:hold_id>", str(HOLD))


def named(route):
    return route.name


def test_every_route_has_one_view():
    assert sorted(map(named, ROUTES)) == sorted(view.route.name for view in VIEWS)


@pytest.mark.parametrize("route", ROUTES, ids=named)
def test_django_serves_the_route_with_its_method(route):
    view = resolve(url(route)).func.view_class
    assert view.route is route
    assert {method.upper() for method in view.http_method_names if hasattr(view, method)} - {"OPTIONS", "HEAD"} == {route.method}


@pytest.mark.parametrize("route", ROUTES, ids=named)
def test_the_gate_finds_its_own_routes(route):
    if route.on_gate:
        assert find_route(url(route)) == (route, HOLD if "<" in route.path else None)
    else:
        with pytest.raises(NotFound):
            find_route(url(route))


@pytest.mark.parametrize("route", ROUTES, ids=named)
def test_the_document_matches_the_route_table(route):
    path = "/api/" + re.sub(r"<\w+:(\w+)>", r"{\1}", route.path)
    operations = document()["paths"][path]
    assert list(operations) == [route.method.lower()]
    operation = operations[route.method.lower()]
    assert route.requirement in operation["description"]
    assert tuple(operation.get("requestBody", {}).get("content", {})) == route.media_types
    assert ("service_key_required" in operation["responses"]["403"]["description"]) == route.service_only
    assert any(each["name"] == "Idempotency-Key" for each in operation["parameters"]) == route.idempotent


CALLS = [
    (AUTHORIZE, b'{"feature": "sessions", "amount": 3}'),
    (AUTHORIZE, b'{"items": [{"feature": "sessions"}, {"feature": "session_creation"}, {"feature": "projects"}]}'),
    (AUTHORIZE, b'{"feature": "sessions", "amount": 1000}'),
    (AUTHORIZE, b'{"feature": "git_integration"}'),
    (AUTHORIZE, b'{"feature": 1}'),
    (CHECK, b'{"feature": "sessions", "amount": 2}'),
    (CHECK, b'{"feature": "projects"}'),
    (CHECK, b'{"feature": "team_members"}'),
    (CHECK, b'{"feature": "context_queries", "amount": 31}'),
    (EVENTS, b'[{"feature": "sessions", "amount": 2}, {"feature": "sessions", "amount": -1, "reason": "twice"}, {"feature": "none"}]'),
    (SETTLE_HOLD, b'{"amount": 1}'),
    (RELEASE_HOLD, b"{}"),
    (CURRENT_USAGE, b""),
]


class InThread:
    """Runs operations as Django's views do."""

    def run(self, operation):
        return drive(operation)


class OnLoop:
    """Runs operations as the gate does, on one event loop."""

    def __init__(self):
        self.runner = asyncio.Runner()

    def run(self, operation):
        async def main():
            return await self.driver.run(operation)

        async def start():
            self.driver = AsyncDriver()

        if not hasattr(self, "driver"):
            self.runner.run(start())
        return self.runner.run(main())


def answers(runner):
    """Make the calls for a new organization; return each body, or the code and details of the refusal."""
    organization = OrganizationFactory(owner=UserFactory())
    UsageCounterFactory(organization=organization, used=7)
    person = Person(organization.memberships.select_related("organization", "user").get())
    assert person.key
    principal = authorize_key_row(organization.api_keys.select_related("organization", "creator__user").get())
    service = service_keys.load(service_key())
    for route, body in CALLS:
        caller = UsageCaller.of_principal(principal, service if route.service_only else None)
        request = UsageRequest(caller, {"content-type": "application/json"}, body, parameter=HOLD)
        try:
            reply = runner.run(route.start(principal, request))
            yield route.name, without_times(json.loads(reply.body)), sorted(dict(reply.headers or ()))
        except DomainError as refusal:
            yield route.name, type(refusal), without_times(refusal.details)


def without_times(value):
    """Return the value without what differs from call to call: times and IDs."""
    if isinstance(value, list):
        return [without_times(each) for each in value]
    if isinstance(value, dict):
        changing = {"resetsAt", "resets_at", "retryAfter", "retry_after", "periodStart", "periodEnd", "organizationId"}
        return {name: without_times(each) for name, each in value.items() if name not in changing}
    return value


@pytest.mark.django_db(transaction=True)
def test_both_drivers_give_the_same_answers():
    in_thread, on_loop = list(answers(InThread())), list(answers(OnLoop()))
    for here, there in zip(in_thread, on_loop, strict=True):
        assert here == there
    refusals = {outcome for _, outcome, _ in in_thread if isinstance(outcome, type)}
    assert refusals == {QuotaExceeded, FeatureNotAvailable, ValidationFailed, NotFound}
