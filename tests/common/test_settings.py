"""Production stops at start-up with one sentence that names the missing or malformed setting."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.forked_settings import Loaded, load

REPOSITORY = Path(__file__).resolve().parents[2]
WHOLE = {
    "SECRET_KEY": "a long random string of fifty characters or more, indeed",
    "API_KEY_SECRETS": "1:" + "ab" * 32,
    "DATABASE_URL": "postgres://user:hunter2@database/contextmcp",
    "ALLOWED_HOSTS": "contextmcp.example",
    "PUBLIC_URL": "https://contextmcp.example",
    "EMAIL_URL": "smtp+tls://user:hunter2@mail:587",
    "DEFAULT_FROM_EMAIL": "ContextMCP <hello@contextmcp.dev>",
    "REDIS_URL": "",
    "STRIPE_SECRET_KEY": "",
    "STRIPE_WEBHOOK_SECRET": "",
}
OPTIONAL = [
    "SIGNING_KEY", "OAUTH_PRIVATE_KEY", "OAUTH_DYNAMIC_REGISTRATION", "KEY_ENVIRONMENT", "BILLING_GRACE_DAYS", "BILLING_REFUND_POLICY",
    "LOG_LEVEL", "STRIPE_AUTOMATIC_TAX", "STRIPE_API_BASE", "BRAND_COLOR", "BRAND_COLOR_DARK",
    "STRIPE_PRO_MONTHLY_PRICE_ID", "WORKER_CONCURRENCY", "WEBHOOKS_ALLOW_PRIVATE", "GATE_URL", "MCP_SERVER_URL", "USAGE_SPOOL_DIR",
    "ALERT_EMAILS", "ALERT_WEBHOOK_URL", "ALERT_WEBHOOK_SECRET", "ALERT_SLACK_URL", "ALERT_INBOX_LAG_SECONDS", "ALERT_DEAD_EVENTS",
    "SECRET_KEY_FALLBACKS", "DJANGO_SETTINGS_MODULE", "PROMETHEUS_MULTIPROC_DIR", "TRUSTED_PROXIES", "SECURE_HSTS_INCLUDE_SUBDOMAINS",
]  # fmt: skip
NAMES = [*WHOLE, *OPTIONAL]


def environment(changes: dict[str, str]) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if name not in NAMES}
    return {**others, **dict.fromkeys(NAMES, ""), **WHOLE, **changes}


def production(*names: str, **changes: str) -> Loaded:
    return load("contextmcp.settings.production", environment(changes), names)


def start(command: Sequence[str] = ("-c", "import contextmcp.settings.production"), **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        env=environment(changes),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_example_variables_are_sufficient() -> None:
    assert start().returncode == 0


def test_metrics_are_shared_only_with_a_directory(tmp_path: Path) -> None:
    """prometheus_client treats an empty variable as the current directory."""
    variable = "PROMETHEUS_MULTIPROC_DIR"
    assert variable not in production().environment
    folder = tmp_path / "shared" / "metrics"
    assert production(**{variable: str(folder)}).environment[variable] == str(folder)
    assert folder.is_dir()
    (tmp_path / "file").touch()
    assert "PROMETHEUS_MULTIPROC_DIR cannot be created" in production(**{variable: str(tmp_path / "file" / "x")}).error


@pytest.mark.parametrize(
    "name", ["SECRET_KEY", "API_KEY_SECRETS", "DATABASE_URL", "ALLOWED_HOSTS", "PUBLIC_URL", "EMAIL_URL", "DEFAULT_FROM_EMAIL"]
)
def test_missing_variables_are_named(name: str) -> None:
    error = production(**{name: ""}).error
    assert error.startswith(f"django.core.exceptions.ImproperlyConfigured: {name} is not set: ")


def test_a_process_prints_the_same_sentence() -> None:
    output = start(SECRET_KEY="")
    assert output.returncode
    assert output.stderr.splitlines()[-1] == production(SECRET_KEY="").error


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_KEY_SECRETS", "abc"),
        ("SIGNING_KEY", "hunter2"),
        ("OAUTH_PRIVATE_KEY", "hunter2"),
        ("OAUTH_DYNAMIC_REGISTRATION", "perhaps"),
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
        ("SECRET_KEY", "short-hunter2"),
        ("SECRET_KEY_FALLBACKS", "short-hunter2"),
        ("DEFAULT_FROM_EMAIL", "ContextMCP <hunter2@contextmcp.example>"),
        ("DEFAULT_FROM_EMAIL", "hunter2@mail.example.com"),
        ("DEFAULT_FROM_EMAIL", "hunter2@localhost"),
        ("DEFAULT_FROM_EMAIL", "hunter2"),
        ("ALLOWED_HOSTS", "*"),
        ("ALLOWED_HOSTS", "contextmcp.example,*"),
        ("PUBLIC_URL", "https://"),
        ("PUBLIC_URL", "https://contextmcp.example/path"),
        ("GATE_URL", "foo"),
        ("MCP_SERVER_URL", "bar"),
        ("STRIPE_API_BASE", "nonsense"),
        ("STRIPE_PRO_MONTHLY_PRICE_ID", "wrong"),
        ("BILLING_REFUND_POLICY", "bogus"),
        ("BRAND_COLOR", "red"),
        ("BRAND_COLOR_DARK", "#5cc9b"),
        ("USAGE_SPOOL_DIR", "/nonexistent"),
        ("ALERT_EMAILS", "ops@vendor.example, hunter2"),
        ("ALERT_WEBHOOK_URL", "http://hooks.vendor.example/hunter2"),
        ("ALERT_WEBHOOK_URL", "https://10.0.0.1/hunter2"),
        ("ALERT_WEBHOOK_URL", "https://user:hunter2@hooks.vendor.dev/"),
        ("ALERT_SLACK_URL", "https://localhost/hunter2"),
        ("ALERT_SLACK_URL", "hunter2"),
        ("ALERT_WEBHOOK_SECRET", "hunter2"),
        ("ALERT_INBOX_LAG_SECONDS", "soon"),
        ("ALERT_DEAD_EVENTS", "-1"),
    ],
)
def test_malformed_variables_are_named_without_their_value(name: str, value: str) -> None:
    sentence = production(**{name: value}).error
    assert sentence.startswith(f"django.core.exceptions.ImproperlyConfigured: {name} is ")
    assert "hunter2" not in sentence


TRANSPORT = (
    "SESSION_COOKIE_NAME",
    "CSRF_COOKIE_NAME",
    "SECURE_HSTS_INCLUDE_SUBDOMAINS",
    "SECURE_PROXY_SSL_HEADER",
    "SESSION_COOKIE_SECURE",
)


def test_cookies_and_transport() -> None:
    """Proxy headers are trusted only behind a proxy, and HSTS includes subdomains only on request."""
    bare = production(*TRANSPORT).values
    assert (bare["SESSION_COOKIE_NAME"], bare["CSRF_COOKIE_NAME"]) == ("__Host-sessionid", "__Host-csrftoken")
    assert (bare["SESSION_COOKIE_SECURE"], bare["SECURE_HSTS_INCLUDE_SUBDOMAINS"], bare["SECURE_PROXY_SSL_HEADER"]) == (True, False, None)
    requested = production(*TRANSPORT, TRUSTED_PROXIES="1", SECURE_HSTS_INCLUDE_SUBDOMAINS="true").values
    assert requested["SECURE_HSTS_INCLUDE_SUBDOMAINS"] is True
    assert requested["SECURE_PROXY_SSL_HEADER"] == ["HTTP_X_FORWARDED_PROTO", "https"]


def test_stripe_without_a_webhook_secret_does_not_start() -> None:
    assert "STRIPE_WEBHOOK_SECRET is not set" in production(STRIPE_SECRET_KEY="sk_live_" + "x" * 24).error


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"STRIPE_SECRET_KEY": "sk_live_" + "x" * 24, "STRIPE_API_BASE": "https://other.example"}, "STRIPE_API_BASE is set"),
        ({"KEY_ENVIRONMENT": "test", "STRIPE_SECRET_KEY": "sk_live_" + "x" * 24}, "STRIPE_SECRET_KEY belongs to the other mode"),
        ({"KEY_ENVIRONMENT": "live", "STRIPE_SECRET_KEY": "sk_test_" + "x" * 24}, "STRIPE_SECRET_KEY belongs to the other mode"),
        ({"KEY_ENVIRONMENT": "live", "STRIPE_API_BASE": "http://127.0.0.1:9"}, "STRIPE_API_BASE is set"),
        ({"KEY_ENVIRONMENT": "test", "STRIPE_API_BASE": "http://other.example"}, "STRIPE_API_BASE is malformed"),
    ],
)
def test_live_and_test_modes_are_never_mixed(changes: dict[str, str], sentence: str) -> None:
    assert sentence in production(STRIPE_WEBHOOK_SECRET="whsec_x", **changes).error


COMMANDS = {
    "web": ["-m", "granian", "--interface", "asginl", "--port", "0", "contextmcp.asgi:application"],
    "gate": ["-m", "contextmcp.gate", "--port", "0"],
    "worker": ["manage.py", "procrastinate", "worker"],
    "manage": ["manage.py", "check"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_process_stops_with_one_sentence(name: str) -> None:
    output = start(COMMANDS[name], GATE_URL="foo")
    own = [line for line in output.stderr.splitlines() if not line.startswith("[")]
    assert output.returncode
    assert own == ["GATE_URL is malformed: enter an https:// URL such as https://contextmcp.example."]


def test_manage_uses_production_settings_by_default() -> None:
    show = [
        "-c",
        "import contextmcp.startup as s; s.load_settings('test'); from django.conf import settings as s; print(s.SETTINGS_MODULE)",
    ]
    assert start(show).stdout.strip() == "contextmcp.settings.production"
    assert start(show, DJANGO_SETTINGS_MODULE="contextmcp.settings.local").stdout.strip() == "contextmcp.settings.local"


def test_all_settings_have_the_same_apps() -> None:
    """The template of a development server's databases has the tables of all of them (`databases.fingerprint`)."""
    modules = ("production", "local", "test")
    apps = [load(f"contextmcp.settings.{module}", environment({}), ["INSTALLED_APPS"]).values["INSTALLED_APPS"] for module in modules]
    assert apps[0] == apps[1] == apps[2]
