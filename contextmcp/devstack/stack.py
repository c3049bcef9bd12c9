"""The shared configuration of a stack's processes: URLs, secrets and environment variables."""

from __future__ import annotations

import base64
import json
import os
import secrets
import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from contextmcp.devstack import mcp_upstream
from contextmcp.devstack.ports import Claims

WEB_PORT = 3001
GATE_PORT = 3100
STRIPE_PORT = 3200
MAIL_PORT = 3300
SMTP_PORT = 3400
GATEWAY_PORT = 3500
ADMIN_EMAIL = "admin@contextmcp.example"


@dataclass(frozen=True)
class World:
    """The addresses and credentials of a running stack, for the tour and for the user."""

    home: str
    url: str
    mail_url: str
    port: int
    gate_port: int
    gateway_port: int
    # None if the gateway is in front of another server than the example.
    notes_port: int | None
    smtp_port: int
    mail_port: int
    # None if there is no simulator, because STRIPE_SECRET_KEY is set or STRIPE=off.
    stripe_port: int | None
    stripe_url: str | None
    stripe_secret_key: str
    webhook_secret: str
    admin_email: str
    admin_password: str
    environment: dict[str, str] = field(repr=False)

    @property
    def gate_url(self) -> str:
        return self.environment["GATE_URL"]

    @property
    def mcp_url(self) -> str:
        return self.environment["MCP_SERVER_URL"]

    @property
    def admin_url(self) -> str:
        return f"{self.url}/admin/"

    @property
    def webhook_url(self) -> str:
        return f"{self.url}/api/billing/webhooks/stripe"

    def save(self) -> Path:
        path = Path(self.home) / "world.json"
        write_private(path, json.dumps(asdict(self), indent=2))
        return path

    @classmethod
    def load(cls, path: Path) -> World:
        return cls(**json.loads(path.read_text()))


def build(home: Path, claims: Claims, overrides: Mapping[str, str]) -> World:
    """Return the environment of the processes. `overrides` (the environment and .env) take precedence; empty values count as unset."""
    named = {name: value for name, value in overrides.items() if value}
    secrets = generated_secrets(home)
    port = claims.exactly(int(named["PORT"])) if "PORT" in named else claims.first_free(WEB_PORT)
    url = named.get("PUBLIC_URL", f"http://localhost:{port}").rstrip("/")
    gate_port, gateway_port = claims.first_free(GATE_PORT), claims.first_free(GATEWAY_PORT)
    upstream = mcp_upstream.choose(home, claims, named)
    mail_port, smtp_port = claims.first_free(MAIL_PORT), claims.first_free(SMTP_PORT)
    simulated = "STRIPE_SECRET_KEY" not in named and named.get("STRIPE") != "off"
    stripe_port = claims.first_free(STRIPE_PORT) if simulated else None
    environment = {
        "DJANGO_SETTINGS_MODULE": "contextmcp.settings.local",
        "SECRET_KEY": secrets["SECRET_KEY"],
        "API_KEY_SECRETS": secrets["API_KEY_SECRETS"],
        "SIGNING_KEY": secrets["SIGNING_KEY"],
        "OAUTH_PRIVATE_KEY": secrets["OAUTH_PRIVATE_KEY"],
        "GATE_URL": f"http://localhost:{gate_port}",
        "EMAIL_URL": f"smtp://127.0.0.1:{smtp_port}",
        "MCP_SERVER_URL": f"http://localhost:{gateway_port}/mcp",
        **named,
        **upstream.environment,
        "PORT": str(port),
        "PUBLIC_URL": url,
    }
    if stripe_port:
        environment |= {
            "STRIPE_SECRET_KEY": secrets["STRIPE_SECRET_KEY"],
            "STRIPE_WEBHOOK_SECRET": secrets["STRIPE_WEBHOOK_SECRET"],
            # The simulator's own name, because the content security policy must allow forms to lead to its pages.
            "STRIPE_API_BASE": f"http://127.0.0.1:{stripe_port}",
        }
    elif named.get("STRIPE") == "off":
        # Set explicitly, because the settings would otherwise read it from .env.
        environment["STRIPE_SECRET_KEY"] = ""
    return World(
        home=str(home),
        url=url,
        mail_url=f"http://localhost:{mail_port}",
        port=port,
        gate_port=gate_port,
        gateway_port=gateway_port,
        notes_port=upstream.notes_port,
        smtp_port=smtp_port,
        mail_port=mail_port,
        stripe_port=stripe_port,
        stripe_url=environment.get("STRIPE_API_BASE") or None,
        stripe_secret_key=environment.get("STRIPE_SECRET_KEY", ""),
        webhook_secret=environment.get("STRIPE_WEBHOOK_SECRET", ""),
        admin_email=ADMIN_EMAIL,
        admin_password=secrets["ADMIN_PASSWORD"],
        environment=environment,
    )


def generated_secrets(home: Path) -> dict[str, str]:
    """Return the stack's secrets, which are generated once so that sessions and keys survive a restart."""
    path = home / "secrets.json"
    letters = string.ascii_letters + string.digits
    fresh = {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "API_KEY_SECRETS": f"1:{secrets.token_hex(32)}",
        "SIGNING_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "STRIPE_SECRET_KEY": "sk_test_" + "".join(secrets.choice(letters) for _ in range(32)),
        "STRIPE_WEBHOOK_SECRET": "whsec_" + "".join(secrets.choice(letters) for _ in range(32)),
        "ADMIN_PASSWORD": secrets.token_urlsafe(12),
    }
    stored: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    if "OAUTH_PRIVATE_KEY" not in stored:
        from contextmcp.common.secrets import generate_rsa_key  # noqa: PLC0415 - importing it and the key take a fifth of a second

        fresh["OAUTH_PRIVATE_KEY"] = generate_rsa_key()
    if fresh.keys() - stored.keys():
        stored = fresh | stored
        write_private(path, json.dumps(stored, indent=2))
    return stored


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, atomically."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)
