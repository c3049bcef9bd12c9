"""Parser of the versioned server secrets in API_KEY_SECRETS."""

import re

from django.core.exceptions import ImproperlyConfigured

_ENTRY = re.compile(r"(\d+):([0-9a-fA-F]{64,})")


def parse_key_secrets(text: str) -> dict[int, bytes]:
    """Parse `"2:<hex>,1:<hex>"`, newest first, into `{2: ..., 1: ...}`. New keys use the first entry.

    Raises:
        ImproperlyConfigured: an entry is malformed.
    """
    secrets: dict[int, bytes] = {}
    for entry in text.split(","):
        match = _ENTRY.fullmatch(entry.strip())
        if not match:
            raise ImproperlyConfigured(
                'API_KEY_SECRETS is malformed: give "version:hex" entries, newest first, each at least 64 hexadecimal digits.'
            )
        secrets[int(match[1])] = bytes.fromhex(match[2])
    return secrets
