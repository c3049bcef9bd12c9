"""Sign messages according to Standard Webhooks (standardwebhooks.com): HMAC-SHA256 of "id.timestamp.body"."""

import base64
import secrets as randomness
from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook

PREFIX = "whsec_"
SECRET_BYTES = 32


def new_secret() -> str:
    """Return a random signing secret."""
    return PREFIX + base64.b64encode(randomness.token_bytes(SECRET_BYTES)).decode()


def headers(secrets: Sequence[str], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers with one signature per secret. `timestamp` is the time of the attempt in Unix seconds and prevents replays."""
    # The library ignores the time zone of the datetime and reads it as UTC.
    attempted_at = datetime.fromtimestamp(timestamp, UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(Webhook(secret).sign(message_id, attempted_at, body.decode()) for secret in secrets),
    }
