"""Settings of alerts to the operator: recipients and thresholds."""

import re
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from .environment import comma_separated, integer, text

# The environment variable and the default of each threshold, by kind of alert. An alert opens when the value described below reaches its
# threshold. 0 disables the alert.
THRESHOLDS = {
    # Age of the oldest pending Stripe event, in seconds.
    "inbox_lag": ("ALERT_INBOX_LAG_SECONDS", 300),
    # For these six kinds: number of open items of the kind in the work queue.
    "dead_events": ("ALERT_DEAD_EVENTS", 1),
    "drift": ("ALERT_DRIFT", 1),
    "disputes": ("ALERT_DISPUTES", 1),
    "failed_emails": ("ALERT_FAILED_EMAILS", 1),
    "failed_jobs": ("ALERT_FAILED_JOBS", 1),
    "rejected_meter_reports": ("ALERT_REJECTED_METER_REPORTS", 1),
    # Live subscriptions whose price belongs to no plan.
    "unknown_price": ("ALERT_UNKNOWN_PRICES", 1),
    # Spikes of usage within a day.
    "usage_spike": ("ALERT_USAGE_SPIKES", 1),
    # Reconciliation runs that ended with an error.
    "reconciliation_failed": ("ALERT_RECONCILIATION_FAILED", 1),
    # Different unknown keys from one network address within an hour.
    "key_guessing": ("ALERT_UNKNOWN_KEYS_PER_HOUR", 100),
    # Responses with a status of 500 or more within ten minutes, of all processes.
    "server_errors": ("ALERT_SERVER_ERRORS_PER_10_MINUTES", 20),
}
_SECRET = re.compile(r"whsec_[A-Za-z0-9+/]{32,}={0,2}")


def thresholds() -> dict[str, int]:
    """Return the threshold of each kind of alert."""
    return {kind: integer(variable, default, minimum=0) for kind, (variable, default) in THRESHOLDS.items()}


def addresses(name: str) -> list[str]:
    """Return the email addresses of a comma-separated variable."""
    values = comma_separated(name)
    for value in values:
        if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value):
            raise ImproperlyConfigured(f"{name} is malformed: enter email addresses, separated by commas.")
    return values


def webhook(name: str, *, private: bool) -> str:
    """Return the URL of a webhook. It is a secret, so errors do not contain it. With `private`, http is also allowed."""
    value = text(name)
    if not value:
        return ""
    try:
        parts: Any = urlsplit(value)
        valid = parts.scheme in (("https", "http") if private else ("https",)) and bool(parts.hostname) and "@" not in parts.netloc
        valid = valid and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid:
        raise ImproperlyConfigured(f"{name} is malformed: enter the https:// URL of a webhook.")
    return value


def webhook_secret(name: str) -> str:
    """Return the secret that signs webhooks, in the format of Standard Webhooks."""
    value = text(name)
    if value and not _SECRET.fullmatch(value):
        raise ImproperlyConfigured(f"{name} is malformed: enter whsec_ and at least 24 random bytes in Base64.")
    return value
