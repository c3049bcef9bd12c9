"""What they did. The hot tables are written in SQL (`usage/statements.py`); these classes declare and read them."""

from .counters import OverageSetting, UsageCounter, UsageLevel
from .events import EventKey, UsageEvent
from .holds import UsageHold
from .summaries import NO_KEY, NOBODY, Grain, UsageSummary

__all__ = [
    "NOBODY",
    "NO_KEY",
    "EventKey",
    "Grain",
    "OverageSetting",
    "UsageCounter",
    "UsageEvent",
    "UsageHold",
    "UsageLevel",
    "UsageSummary",
]
