"""Send 1,000 concurrent calls to 4 processes with 1, 10 and 999 units left, with kills and a flush: exactly that many are allowed."""

from __future__ import annotations

from tests.chaos import quota_exactness
from tests.soak import services
from tests.soak.metrics import Figures
from tests.soak.options import Options, say

LEFT = (1, 10, 999)
CALLS, REPEATS, AT_ONCE = 1100, 300, 1000


def run(options: Options) -> Figures:
    figures = Figures()
    with services.database():
        for remaining in LEFT:
            calls = options.many(CALLS, minimum=40)
            units = min(remaining, round(calls * remaining / CALLS) or 1) if options.scale < 1 else remaining
            result = quota_exactness.run(units, calls=calls, repeats=options.many(REPEATS), clients=options.many(AT_ONCE, minimum=20))
            say(f"  {remaining} left: {result.calls} calls, {result.admitted} admitted, {result.again} repeated, {result.kills} kills")
            figures.at_least(f"against {units} left: calls", result.calls, calls)
            figures.at_least("servers killed", result.kills, 3)
            figures.at_least("caches flushed", result.flushes, 1)
            figures.add("repeated calls", result.again)
            figures.at_least("admitted", result.admitted, units)
            figures.none("failures", result.failures)
    return figures
