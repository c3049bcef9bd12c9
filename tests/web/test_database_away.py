"""Django's pages and endpoints while Postgres is unavailable: 503 with Retry-After."""

import json
from io import BytesIO

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.test import Client
from psycopg import errors as postgres

from billing.inbound.wsgi_shortcut import PATH, short_circuit_webhooks
from contextmcp.common import problems
from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.factories.service_keys import service_key
from tests.gate.test_outage import doors
from tests.support.api import Api, problem

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme():
    organization = OrganizationFactory(owner=UserFactory())
    return Person(organization.memberships.select_related("organization", "user").get())


@pytest.fixture
def browser(acme):
    result = Client(raise_request_exception=False)
    result.force_login(acme.user)
    assert result.get("/account/").status_code == 200
    return result


@pytest.fixture
def away(acme, browser):
    acme.key  # noqa: B018 - creates the key while the database is available
    service_key()
    doors(open_=False)
    yield
    doors(open_=True)


CALLS = [
    ("POST", "/api/usage/authorize", {"feature": "sessions"}),
    ("POST", "/api/usage/events", {"feature": "sessions"}),
    ("POST", "/api/entitlements/check", {"feature": "sessions"}),
    ("GET", "/api/usage/current", None),
    ("GET", "/api/auth/whoami", None),
    ("GET", "/api/entitlements", None),
    ("GET", "/api/organization", None),
    ("GET", "/api/billing/subscription", None),
    ("POST", "/api/auth/generate-key", {"name": "one more"}),
]


def test_the_api_answers_503_for_every_caller(away, acme, browser):
    for method, path, body in CALLS:
        answers = [Api().request(method, path, body, by=acme)]
        if method == "GET":
            answers.append(browser.get(path))
        for answer in answers:
            assert problem(answer) == (503, "temporarily_unavailable"), path
            assert answer["Retry-After"] == "1"


def test_pages_without_queries_are_served(away):
    assert Api().get("/livez").status_code == 200
    assert Api().get("/readyz").status_code == 503
    assert problem(Api().get("/api/auth/whoami")) == (401, "credentials_missing")


def test_pages_show_the_outage_and_sessions_continue(away, browser):
    for path in ("/account/", "/account/usage/", "/account/billing/", "/admin/"):
        answer = browser.get(path)
        assert (answer.status_code, answer["Retry-After"]) == (503, "1"), path
        assert "Temporarily unavailable" in answer.content.decode()
    doors(open_=True)
    assert browser.get("/account/").status_code == 200


def test_events_of_stripe_get_a_retryable_error(away):
    output = {}
    body = json.dumps({"id": "evt_1"}).encode()
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": PATH, "CONTENT_LENGTH": str(len(body)), "wsgi.input": BytesIO(body)}

    def broken(request):
        raise OperationalError("gone")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("billing.inbound.wsgi_shortcut.stripe_webhook", broken)
        short_circuit_webhooks(None)(environ, lambda status, headers: output.update(status=status, **dict(headers)))
    assert (output["status"], output["Retry-After"]) == ("503 Service Unavailable", "1")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OperationalError("server closed the connection unexpectedly"), 503),
        (InterfaceError("connection already closed"), 503),
        (postgres.CannotConnectNow("starting up"), 503),
        (postgres.TooManyConnections("too many"), 503),
        (postgres.LockNotAvailable("lock"), 503),
        (postgres.QueryCanceled("slow"), None),
        (postgres.DiskFull("full"), None),
    ],
)
def test_only_outages_and_locks_are_503(error, status):
    raised = error if isinstance(error, OperationalError | InterfaceError) else OperationalError(str(error))
    if raised is not error:
        raised.__cause__ = error
    result = problems.translate(raised)
    assert (result and result.status) == status
    connection.close()
