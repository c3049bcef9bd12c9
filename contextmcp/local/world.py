"""What the processes of one local world have in common: addresses, secrets and the environment they are given."""

from __future__ import annotations

import json
import os
import secrets
import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from contextmcp.local.ports import Claims

WEB_PORT = 3001
GATE_PORT = 3100
STRIPE_PORT = 3200
MAIL_PORT = 3300
SMTP_PORT = 3400
ADMIN_EMAIL = "admin@contextmcp.example"


@dataclass(frozen=True)
class World:
    """Everything the tour and a person need to know of a running local world."""

    home: str
    url: str
    mail_url: str
    port: int
    gate_port: int
    smtp_port: int
    mail_port: int
    # None: there is no simulator, because STRIPE_SECRET_KEY was given or STRIPE=off.
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


def build(home: Path, claims: Claims, given: Mapping[str, str]) -> World:
    """`given` is the environment with .env; what it names wins over what is generated, and an empty value names nothing."""
    named = {name: value for name, value in given.items() if value}
    kept = generated_secrets(home)
    port = claims.exactly(int(named["PORT"])) if "PORT" in named else claims.first_free(WEB_PORT)
    url = named.get("PUBLIC_URL", f"http://localhost:{port}").rstrip("/")
    gate_port = claims.first_free(GATE_PORT)
    mail_port, smtp_port = claims.first_free(MAIL_PORT), claims.first_free(SMTP_PORT)
    simulated = "STRIPE_SECRET_KEY" not in named and named.get("STRIPE") != "off"
    stripe_port = claims.first_free(STRIPE_PORT) if simulated else None
    environment = {
        "DJANGO_SETTINGS_MODULE": "contextmcp.settings.local",
        "SECRET_KEY": kept["SECRET_KEY"],
        "API_KEY_SECRETS": kept["API_KEY_SECRETS"],
        "GATE_URL": f"http://localhost:{gate_port}",
        "EMAIL_URL": f"smtp://127.0.0.1:{smtp_port}",
        **named,
        "PORT": str(port),
        "PUBLIC_URL": url,
    }
    if stripe_port:
        environment |= {
            "STRIPE_SECRET_KEY": kept["STRIPE_SECRET_KEY"],
            "STRIPE_WEBHOOK_SECRET": kept["STRIPE_WEBHOOK_SECRET"],
            # As the simulator names itself: the pages it sends people to must be those that the content security policy lets forms lead to.
            "STRIPE_API_BASE": f"http://127.0.0.1:{stripe_port}",
        }
    elif named.get("STRIPE") == "off":
        # Said, not left out: the settings would read it from .env.
        environment["STRIPE_SECRET_KEY"] = ""
    return World(
        home=str(home),
        url=url,
        mail_url=f"http://localhost:{mail_port}",
        port=port,
        gate_port=gate_port,
        smtp_port=smtp_port,
        mail_port=mail_port,
        stripe_port=stripe_port,
        stripe_url=environment.get("STRIPE_API_BASE") or None,
        stripe_secret_key=environment.get("STRIPE_SECRET_KEY", ""),
        webhook_secret=environment.get("STRIPE_WEBHOOK_SECRET", ""),
        admin_email=ADMIN_EMAIL,
        admin_password=kept["ADMIN_PASSWORD"],
        environment=environment,
    )


def generated_secrets(home: Path) -> dict[str, str]:
    """Made once, so that sessions and keys outlive a restart."""
    path = home / "secrets.json"
    letters = string.ascii_letters + string.digits
    fresh = {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "API_KEY_SECRETS": f"1:{secrets.token_hex(32)}",
        "STRIPE_SECRET_KEY": "sk_test_" + "".join(secrets.choice(letters) for _ in range(32)),
        "STRIPE_WEBHOOK_SECRET": "whsec_" + "".join(secrets.choice(letters) for _ in range(32)),
        "ADMIN_PASSWORD": secrets.token_urlsafe(12),
    }
    kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    if fresh.keys() - kept.keys():
        kept = fresh | kept
        write_private(path, json.dumps(kept, indent=2))
    return kept


def write_private(path: Path, text: str) -> None:
    """For its owner's eyes from the first byte, and whole or not at all."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)
