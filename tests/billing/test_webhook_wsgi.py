"""The event endpoint in front of Django, as the server serves it."""

import io
import json
import sys

import pytest
import structlog
from django.db import connection
from django.test import override_settings
from structlog.testing import capture_logs

from billing.inbound import inbox, wsgi_shortcut
from billing.models import WebhookEvent
from contextmcp.common.logs import add_request, request_id
from tests.support.stripe import WEBHOOK_SECRET, sign

EVENT = {
    "id": "evt_1",
    "object": "event",
    "type": "customer.updated",
    "created": 1_800_000_000,
    "data": {"object": {"object": "customer", "id": "cus_1"}},
}


def call(body: str, path: str = wsgi_shortcut.PATH, method: str = "POST"):
    from contextmcp.wsgi import application

    answered = []
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "HTTP_HOST": "localhost",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_STRIPE_SIGNATURE": sign(body),
        "wsgi.input": io.BytesIO(body.encode()),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
    }
    answer = application(environ, lambda status, headers: answered.append((status, dict(headers))))
    text = b"".join(answer)
    return int(answered[0][0].split()[0]), answered[0][1], json.loads(text) if text else None


@pytest.fixture(autouse=True)
def _secret():
    with override_settings(STRIPE_WEBHOOK_SECRETS=[WEBHOOK_SECRET]):
        yield


@pytest.mark.django_db(transaction=True)
def test_the_shortcut_serves_only_the_webhook_path():
    assert call(json.dumps(EVENT))[::2] == (200, {"received": True})
    assert WebhookEvent.objects.count() == 1
    status, headers, body = call("{}")
    assert (status, headers["Content-Type"], body["code"]) == (400, "application/problem+json", "malformed_request")
    assert call("", path="/livez", method="GET")[::2] == (200, {"status": "ok"})


@pytest.mark.django_db(transaction=True)
def test_a_webhook_has_its_own_request_id():
    request_id.set("of-an-earlier-request")
    with capture_logs(processors=[add_request]) as logs:
        _, headers, _ = call(json.dumps(EVENT))
        structlog.get_logger("test").info("line")
    assert len(headers["X-Request-Id"]) == 32
    assert [line["request_id"] for line in logs] == [headers["X-Request-Id"]] * len(logs)


@pytest.mark.django_db(transaction=True)
def test_a_dead_connection_is_replaced():
    call(json.dumps(EVENT))
    connection.connection.close()
    assert call(json.dumps(EVENT | {"id": "evt_2"}))[0] == 200
    assert WebhookEvent.objects.count() == 2


@pytest.mark.django_db
def test_dead_connection_within_a_transaction_is_reported(monkeypatch):
    """The retry would run outside of the test's transaction."""
    import psycopg

    class Dead:
        def execute(self, *args, **options):
            raise psycopg.OperationalError("gone")

    monkeypatch.setattr(inbox, "psycopg_cursor", lambda **options: Dead())
    with pytest.raises(psycopg.OperationalError):
        inbox.store_event(inbox.parse_event(json.dumps(EVENT).encode()), json.dumps(EVENT))


@pytest.mark.django_db
def test_an_unexpected_error_is_a_500_without_details(monkeypatch):
    def broken(request):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(wsgi_shortcut, "stripe_webhook", broken)
    status, _, body = call(json.dumps(EVENT))
    assert (status, body["code"]) == (500, "server_error")
    assert "secret" not in json.dumps(body)
