"""Versioned server secrets, as they stand in the environment."""

import re

from django.core.exceptions import ImproperlyConfigured

_ENTRY = re.compile(r"(\d+):([0-9a-fA-F]{64,})")


def parse_key_secrets(text: str) -> dict[int, bytes]:
    """`"2:<hex>,1:<hex>"`, newest first, to `{2: ..., 1: ...}`; the first entry is the one new keys are made under."""
    secrets: dict[int, bytes] = {}
    for entry in text.split(","):
        match = _ENTRY.fullmatch(entry.strip())
        if not match:
            raise ImproperlyConfigured(
                'API_KEY_SECRETS is malformed: give "version:hex" entries, newest first, each at least 64 hexadecimal digits.'
            )
        secrets[int(match[1])] = bytes.fromhex(match[2])
    return secrets
