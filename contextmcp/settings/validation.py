"""Validate the settings of production. All processes load them: the web, the gate, the worker and `manage.py`."""

import os
import re
from collections.abc import Mapping
from email.utils import parseaddr
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from contextmcp.common.url_policy import is_public_hostname

# Django's minimum length and number of distinct characters of a strong key (security.W009).
SECRET_KEY_LENGTH, SECRET_KEY_DISTINCT = 50, 5
_STRIPE_KEY = re.compile(r"(sk|rk)_(test|live)_[a-zA-Z0-9]{24,}")
_PRICE = re.compile(r"price_[A-Za-z0-9_]+")
# Reserved domains (RFC 2606, RFC 6761). Email from them is rejected or treated as forged.
_RESERVED_DOMAIN = re.compile(r"(?:^|\.)(?:example(?:\.(?:com|net|org))?|test|invalid|localhost)$", re.IGNORECASE)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def validate_production(settings: Mapping[str, Any]) -> None:
    """Raise `ImproperlyConfigured` with one sentence for the first invalid setting. The sentence contains no secret."""
    for check in (_secrets, _addresses, _sender, _stripe, _spool, _alerts):
        check(settings)


def _secrets(settings: Mapping[str, Any]) -> None:
    for name, value in [
        ("SECRET_KEY", settings["SECRET_KEY"]),
        *(("SECRET_KEY_FALLBACKS", each) for each in settings["SECRET_KEY_FALLBACKS"]),
    ]:
        if len(value) < SECRET_KEY_LENGTH or len(set(value)) < SECRET_KEY_DISTINCT:
            raise ImproperlyConfigured(f"{name} is too weak: enter {SECRET_KEY_LENGTH} random characters or more.")


def _addresses(settings: Mapping[str, Any]) -> None:
    if any("*" in host for host in settings["ALLOWED_HOSTS"]):
        raise ImproperlyConfigured("ALLOWED_HOSTS is too wide: list each public host name. * would accept any host.")
    for name in ("PUBLIC_URL", "GATE_URL", "MCP_SERVER_URL"):
        _require_https(name, settings[name])
    if urlsplit(settings["PUBLIC_URL"]).path:
        raise ImproperlyConfigured("PUBLIC_URL is malformed: enter the URL without a path.")
    if settings["WEBHOOKS_ALLOW_PRIVATE"]:
        raise ImproperlyConfigured("WEBHOOKS_ALLOW_PRIVATE is set: in production webhooks never go to private addresses.")


def _sender(settings: Mapping[str, Any]) -> None:
    domain = parseaddr(settings["DEFAULT_FROM_EMAIL"])[1].rpartition("@")[2].rstrip(".")
    if "." not in domain or _RESERVED_DOMAIN.search(domain):
        raise ImproperlyConfigured("DEFAULT_FROM_EMAIL is not a valid sender: enter an address at a domain that you own.")


def _require_https(name: str, value: str) -> None:
    try:
        parts = urlsplit(value)
        valid = parts.scheme == "https" and bool(parts.hostname) and not parts.query and not parts.fragment and "@" not in parts.netloc
        valid = valid and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid:
        raise ImproperlyConfigured(f"{name} is malformed: enter an https:// URL such as https://contextmcp.example.")


def _stripe(settings: Mapping[str, Any]) -> None:
    key, base = settings["STRIPE_SECRET_KEY"], settings["STRIPE_API_BASE"]
    live_environment = settings["KEY_ENVIRONMENT"] == "live"
    if base:
        if live_environment or settings["STRIPE_LIVE_MODE"]:
            raise ImproperlyConfigured("STRIPE_API_BASE is set: a live deployment must call Stripe itself. Leave it empty.")
        if urlsplit(base).hostname not in _LOOPBACK:
            _require_https("STRIPE_API_BASE", base)
    if key and not _STRIPE_KEY.fullmatch(key):
        raise ImproperlyConfigured("STRIPE_SECRET_KEY is malformed: enter a key such as sk_live_ and at least 24 letters and digits.")
    if key and settings["STRIPE_LIVE_MODE"] != live_environment:
        mode = "live" if live_environment else "test"
        raise ImproperlyConfigured(
            f"STRIPE_SECRET_KEY belongs to the other mode: KEY_ENVIRONMENT={mode} needs a key of Stripe's {mode} mode."
        )
    if key and not settings["STRIPE_WEBHOOK_SECRETS"]:
        raise ImproperlyConfigured("STRIPE_WEBHOOK_SECRET is not set: it is needed to verify that events come from Stripe.")
    for name, price in settings["STRIPE_PRICE_IDS"].items():
        if not _PRICE.fullmatch(price):
            raise ImproperlyConfigured(f'{name} is "{price}": a Stripe price ID begins with price_.')


def _alerts(settings: Mapping[str, Any]) -> None:
    for name in ("ALERT_WEBHOOK_URL", "ALERT_SLACK_URL"):
        host = urlsplit(settings[name]).hostname if settings[name] else None
        if host is not None and not is_public_hostname(host):
            raise ImproperlyConfigured(f"{name} is the URL of a private host: alerts are sent to public addresses only.")


def _spool(settings: Mapping[str, Any]) -> None:
    folder = settings["USAGE_SPOOL_DIR"]
    if folder and not (Path(folder).is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise ImproperlyConfigured(f'USAGE_SPOOL_DIR is "{folder}": it must be a directory that this process can write to.')
