"""What an operator's tools ask of the web server: metrics, readiness and the addresses that every site has."""

import logging

import pytest
import redis
from django.db import OperationalError, connection, transaction
from django.test import override_settings

from contextmcp.common import health, problems, valkey

TOKEN = {"HTTP_AUTHORIZATION": "Bearer metrics-token"}


@pytest.mark.django_db
def test_metrics_need_the_token(client):
    assert client.get("/metrics").status_code == 404
    with override_settings(METRICS_TOKEN="metrics-token"):
        assert client.get("/metrics").status_code == 404
        assert client.get("/metrics", HTTP_AUTHORIZATION="Bearer other").status_code == 404
        client.get("/pricing/")
        text = client.get("/metrics", **TOKEN).content.decode()
    for name in ("http_request_seconds", "cache_errors_total", "queue_jobs", "billing_inbox_events"):
        assert name in text


@pytest.mark.django_db
def test_readiness_names_missing_migrations_and_workers(client, monkeypatch):
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
    assert [record.message for record in caplog.records] == ["Valkey cannot be reached: ConnectionError"]


@pytest.mark.django_db
def test_waiting_for_a_row_ends_in_503(client):
    with pytest.raises(OperationalError) as caught, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DO $$ BEGIN RAISE lock_not_available; END $$")
    refusal = problems.translate(caught.value)
    assert refusal is not None
    assert (refusal.status, refusal.code, refusal.details["retry_after"]) == (503, "temporarily_unavailable", 1)


@pytest.mark.django_db
def test_addresses_that_every_site_has(client):
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
def test_pages_take_head_and_are_compressed(client):
    assert client.head("/pricing/").status_code == 200
    assert client.get("/pricing/", HTTP_ACCEPT_ENCODING="gzip")["Content-Encoding"] == "gzip"
