"""1,000 calls at once over 4 processes against 1, 10 and 999 left: exactly so many are admitted, kills and a flush in the middle."""

from __future__ import annotations

from tests.chaos import exact
from tests.soak import stage
from tests.soak.figures import Figures
from tests.soak.options import Options, say

LEFT = (1, 10, 999)
CALLS, REPEATS, AT_ONCE = 1100, 300, 1000


def run(options: Options) -> Figures:
    figures = Figures()
    with stage.database():
        for left in LEFT:
            calls = options.many(CALLS, least=40)
            wanted = min(left, round(calls * left / CALLS) or 1) if options.scale < 1 else left
            found = exact.run(wanted, calls=calls, repeats=options.many(REPEATS), clients=options.many(AT_ONCE, least=20))
            say(f"  {left} left: {found.calls} calls, {found.admitted} admitted, {found.again} asked again, {found.kills} kills")
            figures.at_least(f"against {wanted} left: calls", found.calls, calls)
            figures.at_least("servers killed", found.kills, 3)
            figures.at_least("caches flushed", found.flushes, 1)
            figures.tell("asked again", found.again)
            figures.at_least("admitted", found.admitted, wanted)
            figures.none("not as it should be", found.wrong)
    return figures
