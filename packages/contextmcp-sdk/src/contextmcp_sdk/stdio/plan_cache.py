"""The customer's plan on this machine: an entitlements token and the keys that verify it, renewed while the service can be reached."""

from __future__ import annotations

import json
import logging
import os
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from contextmcp_sdk.client import Client
from contextmcp_sdk.entitlements_token import InvalidToken, OfflineEntitlements, UnknownKey, verify_token
from contextmcp_sdk.errors import ContextMCPError
from contextmcp_sdk.refusals import SigningNotConfigured

log = logging.getLogger(__name__)
# Seconds until a failed renewal is tried again.
RETRY_SECONDS = 15.0
# The same, if the service issues no tokens.
UNSUPPORTED_SECONDS = 3_600.0
# The token is renewed when this share of its lifetime has passed.
RENEWAL_SHARE = 0.5


class PlanCache:
    """Holds the newest token in `folder`, and renews it in a thread."""

    def __init__(self, client: Client, folder: Path) -> None:
        self._client = client
        self._token_path, self._keys_path = folder / "entitlements.jwt", folder / "jwks.json"
        self._key_set: dict[str, Any] = {}
        self._entitlements: OfflineEntitlements | None = None
        self._tried, self._closed = threading.Event(), threading.Event()
        self._load()
        threading.Thread(target=self._renew_regularly, name="contextmcp-plan", daemon=True).start()

    def usable(self, *, wait: float = 0.0) -> OfflineEntitlements | None:
        """Return the entitlements, or None if there are none that may be used now. Waits up to `wait` seconds for the first renewal."""
        self._tried.wait(wait)
        entitlements = self._entitlements
        return entitlements if entitlements is not None and entitlements.is_usable(datetime.now(timezone.utc)) else None

    def renew(self) -> None:
        """Fetch a new token. Raises `ContextMCPError` if that fails; the old one stays."""
        token = self._client.entitlements_token().token
        try:
            entitlements = verify_token(token, self._key_set)
        except UnknownKey:
            self._key_set = self._client.signing_keys()
            entitlements = verify_token(token, self._key_set)
            _write(self._keys_path, json.dumps(self._key_set))
        _write(self._token_path, token)
        self._entitlements = entitlements

    def close(self) -> None:
        """End the thread."""
        self._closed.set()

    def _load(self) -> None:
        try:
            self._key_set = json.loads(self._keys_path.read_text())
            self._entitlements = verify_token(self._token_path.read_text(), self._key_set)
        except (OSError, ValueError, InvalidToken):
            self._key_set = {}

    def _renew_regularly(self) -> None:
        while not self._closed.is_set():
            wait = RETRY_SECONDS
            try:
                self.renew()
                assert self._entitlements is not None
                wait = max(RETRY_SECONDS, (self._entitlements.expires_at - self._entitlements.issued_at) * RENEWAL_SHARE)
            except SigningNotConfigured:
                log.warning("the service issues no entitlements tokens, so calls need a connection to it")
                wait = UNSUPPORTED_SECONDS
            except (ContextMCPError, OSError) as error:
                log.warning("the plan could not be renewed: %s", error)
            except Exception:
                log.exception("the plan could not be renewed")
            self._tried.set()
            self._closed.wait(wait)


def _write(path: Path, text: str) -> None:
    """Replace a file atomically. Only its owner can read it."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)
