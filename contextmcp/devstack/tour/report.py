"""Print each step of the tour with its result and a tick or a cross."""

import os
import time
import traceback
from collections.abc import Callable
from typing import Any

# Seconds to wait for another process. A machine under load is slow, but not broken.
TIMEOUT_SECONDS = int(os.environ.get("TOUR_TIMEOUT_SECONDS", "120"))


class Report:
    """Runs steps in sequence and records whether all passed."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed: list[str] = []

    def step(self, title: str, act: Callable[[], Any]) -> bool:
        """Run `act` and print its result. An exception is printed as a cross with its reason."""
        start = time.monotonic()
        try:
            outcome = act()
        except Exception as error:
            self.failed.append(title)
            print(f"  ✗ {title}\n      {type(error).__name__}: {error}", flush=True)
            if not isinstance(error, AssertionError):
                print("      " + traceback.format_exc().strip().replace("\n", "\n      "), flush=True)
            return False
        self.passed += 1
        seconds = time.monotonic() - start
        print(f"  ✓ {title}" + (f"  ({seconds:.1f} s)" if seconds >= 0.1 else ""), flush=True)
        for line in str(outcome or "").splitlines():
            print(f"      {line}", flush=True)
        return True

    @property
    def ok(self) -> bool:
        return not self.failed

    def summary(self) -> str:
        total = self.passed + len(self.failed)
        return f"{self.passed} of {total} steps passed" + (f"; failed: {', '.join(self.failed)}" if self.failed else "")


def expect(condition: object, sentence: str) -> None:
    """Raise AssertionError unless `condition` is true, also under `python -O`."""
    if not condition:
        raise AssertionError(sentence)


def eventually(probe: Callable[[], Any], *, what: str) -> Any:
    """Return the first truthy result of `probe`. The elapsed time is printed; only `TIMEOUT_SECONDS` limits it."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise AssertionError(f"timed out after {TIMEOUT_SECONDS} s: {what}")
        time.sleep(0.05)
