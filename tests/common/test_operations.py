"""Endpoints of the web server for operators: metrics, readiness and well-known paths."""

import importlib
import logging

import pytest
import redis
from django.db import OperationalError, connection, transaction
from django.test import override_settings

from contextmcp.common import health, metrics, problems, valkey
from entitlements.manager import EntitlementsManager
from tests.support.metrics import documented, exposed

TOKEN = {"HTTP_AUTHORIZATION": "Bearer metrics-token"}


@pytest.mark.django_db
def test_metrics_need_the_token(client):
    assert client.get("/metrics").status_code == 404
    with override_settings(METRICS_TOKEN="metrics-token"):
        assert client.get("/metrics").status_code == 404
        assert client.get("/metrics", HTTP_AUTHORIZATION="Bearer other").status_code == 404
        client.get("/pricing/")
        text = client.get("/metrics", **TOKEN).content.decode()
    for name in (
        "http_request_seconds",
        "usage_decisions_total",
        "cache_errors_total",
        "database_up 1.0",
        'queue_jobs{status="failed"}',
        "queue_lag_seconds",
        "queue_workers 0.0",
        'emails{state="retrying"}',
        "billing_inbox_events",
    ):
        assert name in text


def _value(client, line):
    with override_settings(METRICS_TOKEN="metrics-token"):
        text = client.get("/metrics", **TOKEN).content.decode()
    return next((float(each.removeprefix(line)) for each in text.splitlines() if each.startswith(f"{line} ")), 0.0)


@pytest.mark.django_db
def test_metrics_count_decisions_by_outcome(client, api, owner, acme):
    EntitlementsManager(acme).override("sessions", 1, reason="Few")
    before = [_value(client, f'usage_decisions_total{{outcome="{outcome}"}}') for outcome in ("allowed", "quota_exceeded")]
    for _ in range(3):
        api.post("/api/usage/authorize", {"feature": "sessions"}, by=owner)
    after = [_value(client, f'usage_decisions_total{{outcome="{outcome}"}}') for outcome in ("allowed", "quota_exceeded")]
    assert [new - old for old, new in zip(before, after, strict=True)] == [1, 2]


@pytest.mark.django_db
def test_the_documentation_names_every_metric(settings, tmp_path):
    settings.USAGE_SPOOL_DIR = str(tmp_path)
    # Tests load the apps; servers also load these.
    for name in ("contextmcp.gate.metrics", "contextmcp.gateway.metrics", "contextmcp.common.pool"):
        importlib.import_module(name)
    assert exposed(metrics.render().decode()) == documented()


@pytest.mark.django_db
def test_metrics_report_the_spool(client, settings, tmp_path):
    settings.USAGE_SPOOL_DIR = str(tmp_path)
    (tmp_path / "a.spool").write_bytes(b"x" * 7)
    (tmp_path / "b.damaged").write_bytes(b"x" * 3)
    assert _value(client, 'usage_spool_files{state="waiting"}') == 1
    assert _value(client, 'usage_spool_bytes{state="waiting"}') == 7
    assert _value(client, 'usage_spool_files{state="damaged"}') == 1


def test_metrics_report_a_database_outage(monkeypatch):
    def away(self):
        raise OperationalError

    monkeypatch.setattr(metrics.QueueCollector, "_read", away)
    [family] = metrics.QueueCollector().collect()
    assert (family.name, family.samples[0].value) == ("database_up", 0)


@pytest.mark.django_db
def test_readiness_reports_missing_migrations_and_workers(client, monkeypatch):
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["parts"]["worker"] == "none is running"
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers DEFAULT VALUES")
        assert client.get("/readyz").json()["parts"]["worker"] == "ok"
        cursor.execute("DELETE FROM django_migrations WHERE app = 'usage'")
    monkeypatch.setattr(health, "_migrated", False)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["parts"]["migrations"]) == (503, "not applied: run manage.py migrate")


def test_an_outage_of_the_cache_is_logged_once(caplog):
    pool = valkey.Pool.from_url("redis://127.0.0.1:1/0")
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            with pytest.raises(valkey.Unavailable):
                redis.Redis.from_pool(pool).ping()
    assert [record.message for record in caplog.records] == ["Valkey is unreachable: ConnectionError"]


@pytest.mark.django_db
def test_a_lock_timeout_is_a_503(client):
    with pytest.raises(OperationalError) as caught, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DO $$ BEGIN RAISE lock_not_available; END $$")
    refusal = problems.translate(caught.value)
    assert refusal is not None
    assert (refusal.status, refusal.code, refusal.details["retry_after"]) == (503, "temporarily_unavailable", 1)


@pytest.mark.django_db
def test_well_known_urls_are_served(client):
    assert b"Disallow: /account/" in client.get("/robots.txt").content
    assert client.get("/favicon.ico").status_code == 302
    assert client.get("/.well-known/security.txt").status_code == 404
    with override_settings(SECURITY_CONTACT="mailto:security@contextmcp.example"):
        assert client.get("/.well-known/security.txt").content.startswith(b"Contact: mailto:security@contextmcp.example\nExpires: ")


@pytest.mark.django_db
def test_the_documentation_page_has_a_policy_for_scripts(client):
    policy = client.get("/api/docs")["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe-inline" not in policy.split("script-src", 1)[1].split(";", 1)[0]


@pytest.mark.django_db
def test_pages_support_head_and_compression(client):
    assert client.head("/pricing/").status_code == 200
    assert client.get("/pricing/", HTTP_ACCEPT_ENCODING="gzip")["Content-Encoding"] == "gzip"
