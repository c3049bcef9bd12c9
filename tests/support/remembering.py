"""A process as the gate is one: it remembers keys given on the command line, and prints a line whenever its answer about one changes.

`python -m tests.support.remembering key...` prints JSON: which key, what it answers, and when.
"""

import json
import sys
import time

import django

django.setup()

from accounts.principals import MISS, cache  # noqa: E402
from contextmcp.common.errors import DomainError  # noqa: E402


def main(keys: list[str]) -> None:
    said: dict[int, str] = {}
    while True:
        for number, raw in enumerate(keys):
            # Stale will do: nothing but news may make it forget.
            answer = cache.get(raw, stale=True)
            if answer is MISS:
                try:
                    answer = cache.load(raw)
                except DomainError as refusal:
                    answer = refusal
            state = answer.code if isinstance(answer, DomainError) else answer.role
            if said.get(number) != state:
                said[number] = state
                print(json.dumps({"key": number, "state": state, "at": time.time()}), flush=True)
        time.sleep(0.005)


main(sys.argv[1:])
