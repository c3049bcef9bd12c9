"""The two shapes of data, and functions for objects and IDs."""

import secrets
import string
from typing import Any

import msgspec

# A stored Stripe object: Stripe's properties, plus private keys that begin with "_" and are never returned.
Obj = dict[str, Any]
Params = dict[str, Any]

ALPHABET = string.ascii_letters + string.digits
DAY = 86_400
HOUR = 3_600


def new_id(prefix: str, length: int = 24) -> str:
    return f"{prefix}_{''.join(secrets.choice(ALPHABET) for _ in range(length))}"


def dump_json(value: Any) -> str:
    """Return the value as JSON. Objects are encoded all the time, and the standard library takes several times as long."""
    return msgspec.json.encode(value).decode()


def load_json(text: str | bytes) -> Any:
    return msgspec.json.decode(text)


def deep_copy(value: Any) -> Any:
    """Return a deep copy of a JSON value."""
    return msgspec.json.decode(msgspec.json.encode(value))


def id_of(value: Any) -> str | None:
    """Return the ID in a field that contains an ID, an expanded object or nothing."""
    if isinstance(value, dict):
        identifier = value.get("id")
        return identifier if isinstance(identifier, str) else None
    return value if isinstance(value, str) and value else None
