"""Secrets do not reach the logs, whatever object contains them."""

import asyncio
import io
import json
import logging
import time
from uuid import UUID

import pytest
import structlog
from django.test import RequestFactory
from procrastinate.contrib.django.models import ProcrastinatePeriodicDefer
from procrastinate.jobs import Job

from contextmcp.common import logs
from contextmcp.common.jobs import log_context
from tests.factories.service_keys import service_key
from tests.support.workers import Worker, until

SECRETS = [
    "cmcp_sk_test_yuQvabcdefGHIJKL123",
    "cmcp_svc_live_yuQvabcdefGHIJKL123",
    "cmcp_svc_yuQvabcdefGHIJKL123",
    "sk_live_abcdefghijklmnop123456",
    "rk_test_abcdefghijklmnop123456",
    "whsec_abcdefghijklmnop123456",
    "pi_3Abc123_secret_abcdefghij123456",
    "seti_1Abc123_secret_abcdefghij123456",
]


@pytest.fixture(params=[True, False], ids=["json", "console"])
def line(request):
    """Log with the product's configuration and return the output."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure({"json": request.param, "level": "INFO"})
    stream = io.StringIO()
    root.handlers[0].setStream(stream)

    def write(*args, **kwargs):
        logging.getLogger("django.request").error(*args, **kwargs)
        text = stream.getvalue()
        if request.param:
            json.loads(text)
        return text

    yield write
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("secret", SECRETS)
def test_secrets_in_requests_and_exceptions_are_masked(line, secret):
    request = RequestFactory().get(f"/api/auth/keys/{secret}?api_key={secret}")
    try:
        raise ValueError({"key": [secret]})
    except ValueError as error:
        text = line("Not Found: %s %s", request.path, {"a": (secret,)}, exc_info=error, extra={"request": request, "values": [secret]})
    assert "***" in text and secret[-12:] not in text


@pytest.mark.parametrize(
    "path",
    [
        "/invitations/Zm9vYmFyYmF6cXV4/",
        "/accounts/password/reset/key/1-Zm9vYmFyYmF6cXV4/",
        "/accounts/confirm-email/Zm9vYmFyYmF6cXV4:1tx:abc/",
        "/api/x?api_key=Zm9vYmFyYmF6cXV4",
        "/status?token=Zm9vYmFyYmF6cXV4&a=b",
    ],
)
def test_tokens_in_urls_are_masked(line, path):
    assert "Zm9vYmFyYmF6cXV4" not in line("Not Found: %s", path, extra={"request": RequestFactory().get(path)})


@pytest.mark.django_db
def test_log_lines_of_a_request_contain_the_caller(api, owner, client):
    def bound():
        return structlog.contextvars.get_contextvars()

    organization, user = str(owner.organization.pk), str(owner.user.pk)
    api.get("/api/auth/whoami", by=owner)
    assert (bound()["organization"], bound()["user"]) == (organization, user)
    assert UUID(bound()["key"])
    client.force_login(owner.user)
    client.get("/api/auth/whoami")
    assert (bound()["organization"], bound()["user"], "key" in bound()) == (organization, user, False)
    api.post("/api/usage/authorize", {"feature": "sessions", "organizationId": organization}, by=service_key())
    assert bound()["organization"] == organization
    assert UUID(bound()["service_key"])
    api.get("/api/plans")
    assert "organization" not in bound()


def test_log_lines_of_a_job_contain_its_ids():
    class Context:
        job = Job(
            id=7,
            task_name="usage.send_alert_email",
            task_kwargs={"alert_id": "a", "user_id": 3, "reason": "long"},
            queue="emails",
            lock=None,
            queueing_lock=None,
        )

    structlog.contextvars.clear_contextvars()

    async def run():
        return structlog.contextvars.get_contextvars()

    assert asyncio.run(log_context(run, Context(), None)) == {"job": 7, "task": "usage.send_alert_email", "alert": "a", "user": "3"}


@pytest.mark.django_db(transaction=True)
def test_an_idle_worker_logs_almost_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("LOG_LEVEL", "INFO")
    worker = Worker(log=tmp_path / "worker.log")
    try:
        until(ProcrastinatePeriodicDefer.objects.exists, "the worker runs what repeats", 60)
        before = worker.log.stat().st_size
        time.sleep(10)
        assert worker.process.poll() is None
        assert worker.log.stat().st_size - before < 500, worker.log.read_text()[-2000:]
    finally:
        worker.stop()
