"""What they did. The hot tables are written in SQL (`usage/statements.py`); these classes declare and read them."""

from .alerts import NO_PERIOD, UsageAlert, UsageWatch
from .counters import OverageSetting, UsageCounter, UsageLevel
from .events import EventKey, UsageEvent
from .holds import UsageHold
from .summaries import NO_KEY, NOBODY, Grain, UsageSummary
from .webhooks import WebhookDelivery, WebhookEndpoint

__all__ = [
    "NOBODY",
    "NO_KEY",
    "NO_PERIOD",
    "EventKey",
    "Grain",
    "OverageSetting",
    "UsageAlert",
    "UsageCounter",
    "UsageEvent",
    "UsageHold",
    "UsageLevel",
    "UsageSummary",
    "UsageWatch",
    "WebhookDelivery",
    "WebhookEndpoint",
]
