"""Record a refusal. All servers call `record`, on the event loop as well as in threads."""

from accounts.invalidation import Invalidation, watcher
from contextmcp.common.errors import DomainError
from usage.types import UsageSubject

from .aggregator import RefusalCounts

INTERVAL_SECONDS = 2.0
COUNTS = RefusalCounts()


def record(subject: UsageSubject, refusal: DomainError, tool: str = "") -> None:
    """Count a refused request of an authenticated caller. Does no I/O, and never raises.

    The feature is the detail that errors have after they found the feature in the caller's plan, so a name that a client invented is not
    recorded. `tool` must be a name of the pricing file.
    """
    COUNTS.add(subject.organization, refusal.code, refusal.details.get("feature", ""), subject.key, tool)


def _on_invalidation(invalidation: Invalidation) -> None:
    if invalidation.kind == "fork":
        # The parent process writes the counts that it had at the fork.
        COUNTS.reset()


watcher.subscribe(_on_invalidation)
watcher.periodic(INTERVAL_SECONDS, COUNTS.flush)
