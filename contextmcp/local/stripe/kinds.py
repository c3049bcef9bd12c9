"""The two shapes everything here is made of."""

import secrets
import string
from typing import Any

import msgspec

# A Stripe object as stored: Stripe's own shape, plus private keys that begin with "_" and never leave the process.
Obj = dict[str, Any]
Params = dict[str, Any]

ALPHABET = string.ascii_letters + string.digits
DAY = 86_400
HOUR = 3_600


def new_id(prefix: str, length: int = 24) -> str:
    return f"{prefix}_{''.join(secrets.choice(ALPHABET) for _ in range(length))}"


def written(value: Any) -> str:
    """As JSON. Everything here is written and read all the time, so not by the standard library, which takes several times as long."""
    return msgspec.json.encode(value).decode()


def read(text: str | bytes) -> Any:
    return msgspec.json.decode(text)


def copied(value: Any) -> Any:
    """A deep copy of what can be written as JSON."""
    return msgspec.json.decode(msgspec.json.encode(value))


def ident(value: Any) -> str | None:
    """The id in a field that may hold an id, an expanded object or nothing."""
    if isinstance(value, dict):
        found = value.get("id")
        return found if isinstance(found, str) else None
    return value if isinstance(value, str) and value else None
