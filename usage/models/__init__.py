"""Usage models.

`usage/store/sql.py` writes the frequently updated tables with raw SQL. The models define the schema and are used for reads.
"""

from .alerts import NO_PERIOD, AlertCheckpoint, UsageAlert
from .counters import OverageSetting, UsageCounter, UsageGauge
from .events import IdempotencyKey, UsageEvent
from .holds import UsageHold
from .refusals import RefusalSummary
from .summaries import NO_KEY, NO_MEMBER, Grain, UsageSummary, UsageToolSummary
from .webhooks import WebhookAttempt, WebhookDelivery, WebhookEndpoint

__all__ = [
    "NO_KEY",
    "NO_MEMBER",
    "NO_PERIOD",
    "AlertCheckpoint",
    "Grain",
    "IdempotencyKey",
    "OverageSetting",
    "RefusalSummary",
    "UsageAlert",
    "UsageCounter",
    "UsageEvent",
    "UsageGauge",
    "UsageHold",
    "UsageSummary",
    "UsageToolSummary",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
]
