"""Production stops at start-up with one sentence that names what is missing or malformed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
WHOLE = {
    "SECRET_KEY": "a long random string",
    "API_KEY_SECRETS": "1:" + "ab" * 32,
    "DATABASE_URL": "postgres://user:hunter2@database/contextmcp",
    "ALLOWED_HOSTS": "contextmcp.example",
    "PUBLIC_URL": "https://contextmcp.example",
    "EMAIL_URL": "smtp+tls://user:hunter2@mail:587",
    "REDIS_URL": "",
    "STRIPE_SECRET_KEY": "",
    "STRIPE_WEBHOOK_SECRET": "",
}
OPTIONAL = ["KEY_ENVIRONMENT", "BILLING_GRACE_DAYS", "LOG_LEVEL", "STRIPE_AUTOMATIC_TAX", "WORKER_CONCURRENCY", "WEBHOOKS_ALLOW_PRIVATE"]
NAMES = [*WHOLE, *OPTIONAL]


def start(**changes: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    return subprocess.run(
        [sys.executable, "-c", "import contextmcp.settings.production"],
        env={**environment, **dict.fromkeys(NAMES, ""), **WHOLE, **changes},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_starts_with_what_the_example_names() -> None:
    assert start().returncode == 0


@pytest.mark.parametrize("name", ["SECRET_KEY", "API_KEY_SECRETS", "DATABASE_URL", "ALLOWED_HOSTS", "PUBLIC_URL", "EMAIL_URL"])
def test_what_is_missing_is_named(name: str) -> None:
    said = start(**{name: ""})
    assert said.returncode
    assert said.stderr.splitlines()[-1].startswith(f"django.core.exceptions.ImproperlyConfigured: {name} is not set: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_KEY_SECRETS", "abc"),
        ("DATABASE_URL", "mysql://user:hunter2@database/contextmcp"),
        ("DATABASE_URL", "hunter2"),
        ("REDIS_URL", "hunter2"),
        ("EMAIL_URL", "hunter2"),
        ("PUBLIC_URL", "http://contextmcp.example"),
        ("KEY_ENVIRONMENT", "production"),
        ("BILLING_GRACE_DAYS", "a week"),
        ("WORKER_CONCURRENCY", "0"),
        ("STRIPE_AUTOMATIC_TAX", "perhaps"),
        ("STRIPE_SECRET_KEY", "hunter2"),
        ("WEBHOOKS_ALLOW_PRIVATE", "true"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_what_is_malformed_is_named_and_no_secret_repeated(name: str, value: str) -> None:
    said = start(**{name: value})
    assert said.returncode
    sentence = said.stderr.splitlines()[-1]
    assert sentence.startswith(f"django.core.exceptions.ImproperlyConfigured: {name} is ")
    assert "hunter2" not in sentence


def test_stripe_without_a_webhook_secret_does_not_start() -> None:
    said = start(STRIPE_SECRET_KEY="sk_test_" + "x" * 24)
    assert "STRIPE_WEBHOOK_SECRET is not set" in said.stderr
