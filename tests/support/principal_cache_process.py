"""A process that caches keys, as the gate does, and prints a line whenever the result of verifying one of its keys changes.

`python -m tests.support.principal_cache_process key...` prints JSON with the key, the result and the time.
"""

import json
import sys
import time

import django

django.setup()

from accounts.principal_cache import MISS, cache  # noqa: E402
from contextmcp.common.errors import DomainError  # noqa: E402


def main(keys: list[str]) -> None:
    printed: dict[int, str] = {}
    while True:
        for number, raw in enumerate(keys):
            # Use stale entries too, so that only an invalidation can change a result.
            answer = cache.get(raw, stale=True)
            if answer is MISS:
                try:
                    answer = cache.load(raw)
                except DomainError as refusal:
                    answer = refusal
            state = answer.code if isinstance(answer, DomainError) else answer.role
            if printed.get(number) != state:
                printed[number] = state
                print(json.dumps({"key": number, "state": state, "at": time.time()}), flush=True)
        time.sleep(0.005)


main(sys.argv[1:])
