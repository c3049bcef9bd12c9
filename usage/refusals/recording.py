"""Record a refusal. All servers call `record`, on the event loop as well as in threads."""

from accounts.invalidation import Invalidation, watcher
from contextmcp.common.errors import DomainError
from usage.types import UsageSubject

from .aggregator import RefusalCounts

INTERVAL_SECONDS = 2.0
COUNTS = RefusalCounts()


def record(subject: UsageSubject, refusal: DomainError, tool: str = "") -> None:
    """Count a refused request of an authenticated caller. Does no I/O, and never raises.

    The feature is read from the details of the refusal. They contain it only if the caller's plan has the feature, so a name that a client
    invented is not recorded. `tool` must be a name in the pricing file.
    """
    COUNTS.add(subject.organization, refusal.code, refusal.details.get("feature", ""), subject.key, tool)


def _on_invalidation(invalidation: Invalidation) -> None:
    if invalidation.kind == "fork":
        # The child process discards its copy of the counts, because the parent process writes them.
        COUNTS.reset()


watcher.subscribe(_on_invalidation)
watcher.periodic(INTERVAL_SECONDS, COUNTS.flush)
