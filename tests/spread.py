"""Which tests run where: files stay whole, and all who use the shared world run in one process, for what they share is dear to start.

Loaded by `-p tests.spread`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# All of the shared world, which is half a dozen processes.
WORLD = ("tests/contract/", "tests/browser/", "tests/journeys/test_tables.py")
# The longest, first: what remains for the end is short. Those that keep nothing in the test's database may precede those that do.
LONG = (*WORLD, "tests/bench/test_bench_runs.py", "tests/journeys/", "tests/chaos/")


class WholeFiles(LoadScopeScheduling):  # type: ignore[misc]
    """xdist's scheduler of groups, with groups of ours."""

    def _split_scope(self, nodeid: str) -> str:
        return "the shared world" if nodeid.startswith(WORLD) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> WholeFiles:
    config.option.loadscopereorder = False
    return WholeFiles(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    _tell_apart(items)
    items.sort(key=_rank)


def _tell_apart(items: list[pytest.Item]) -> None:
    """The scheduler knows tests by their ids, and would run one of those that share it: schemathesis makes one for each operation."""
    for item in items:
        if label := getattr(item, "operation_label", None):
            item._id = replace(item._id, params=label)  # type: ignore[attr-defined]
    counts = Counter(item.nodeid for item in items)
    if shared := [name for name, count in counts.items() if count > 1]:
        raise pytest.UsageError(f"Several tests share an id: {', '.join(shared)}")


def _rank(item: pytest.Item) -> int:
    """Where it stands in `LONG`; Python's sorting leaves the rest as it was."""
    if item.get_closest_marker("django_db"):
        return len(LONG)
    return next((place for place, start in enumerate(LONG) if item.nodeid.startswith(start)), len(LONG))
