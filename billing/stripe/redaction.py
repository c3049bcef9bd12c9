"""Remove secrets from Stripe objects before they are stored.

A client secret lets its holder confirm a payment in a browser, and an endpoint secret lets its holder sign events. This product sends
customers to Stripe's hosted pages, so it needs neither. https://docs.stripe.com/api/payment_intents/object
"""

import json
import re
from typing import Any

# `client_secret` of payment intents, setup intents, checkout and customer sessions; `secret` of webhook endpoints and ephemeral keys.
SECRET_FIELDS = frozenset(["client_secret", "secret"])
REMOVED = "[removed]"
# The same secrets inside other values, such as the URL in `next_action.redirect_to_url.url`, and secret keys.
_SECRET = re.compile(
    r"\b[a-z]{2,}_(?:[A-Za-z0-9]+_)+secret_[A-Za-z0-9%+/=_-]{10,}"
    r"|\bwhsec_[A-Za-z0-9+/=]{10,}"
    r"|\b(?:ek|sk|rk)_(?:test|live)_[A-Za-z0-9]{10,}"
)
# A JSON text without any of these contains no secret and need not be parsed. An escape sequence (`\\u`) could hide any of them.
_HINTS = ("secret", "whsec_", "ek_", "sk_", "rk_", "billing_portal.session", "\\u")


def without_secrets(value: Any) -> Any:
    """Return a copy of a JSON value without secret fields, and with secrets inside strings replaced."""
    if isinstance(value, dict):
        return {name: without_secrets(inner) for name, inner in value.items() if name not in SECRET_FIELDS}
    if isinstance(value, list):
        return [without_secrets(inner) for inner in value]
    return _SECRET.sub(REMOVED, value) if isinstance(value, str) else value


def event_without_secrets(text: str) -> str:
    """Return an event's JSON text without secrets. A text without secrets is returned unchanged.

    Raises:
        ValueError, RecursionError: the text cannot be parsed.
    """
    if not any(hint in text for hint in _HINTS):
        return text
    document = json.loads(text)
    clean = without_secrets(document)
    if clean["data"]["object"].get("object") == "billing_portal.session":
        # Anyone who opens the URL of a portal session within some minutes is signed in as the customer.
        clean["data"]["object"].pop("url", None)
    return text if clean == document else json.dumps(clean)
