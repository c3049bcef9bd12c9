"""Distribute tests to processes: files stay whole, and all tests of the shared stack run in one process, because it is expensive to start.

Loaded by `-p tests.plugin_scheduling`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# All tests of the shared stack, which consists of half a dozen processes.
WORLD = ("tests/contract/", "tests/browser/", "tests/journeys/test_migrated_schema.py")
# The longest groups start first, so that little remains for the end. Groups without rows in the test database may precede others.
LONG = (*WORLD, "tests/bench/test_bench_runs.py", "tests/journeys/", "tests/chaos/")


class WholeFiles(LoadScopeScheduling):  # type: ignore[misc]
    """xdist's scheduler of groups, with our grouping."""

    def _split_scope(self, nodeid: str) -> str:
        return "the shared world" if nodeid.startswith(WORLD) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> WholeFiles:
    config.option.loadscopereorder = False
    return WholeFiles(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    _require_distinct_ids(items)
    items.sort(key=_rank)


def _require_distinct_ids(items: list[pytest.Item]) -> None:
    """Refuse duplicate test IDs. The scheduler identifies tests by ID and would run only one of them."""
    counts = Counter(item.nodeid for item in items)
    if shared := [name for name, count in counts.items() if count > 1]:
        raise pytest.UsageError(f"Several tests share an id: {', '.join(shared)}")


def _rank(item: pytest.Item) -> int:
    """Return the position of the group in `LONG`. Sorting is stable, so all others keep their order."""
    if item.get_closest_marker("django_db"):
        return len(LONG)
    return next((place for place, start in enumerate(LONG) if item.nodeid.startswith(start)), len(LONG))
