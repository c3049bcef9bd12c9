"""What the tour prints: each step, what came back, and a tick or a cross."""

import time
import traceback
from collections.abc import Callable
from typing import Any


class Report:
    """Runs steps one after the other and remembers whether all held."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed: list[str] = []

    def step(self, title: str, act: Callable[[], Any]) -> bool:
        """Do `act`; what it returns is printed as what came back. An exception is a cross, and says why."""
        begun = time.monotonic()
        try:
            outcome = act()
        except Exception as error:
            self.failed.append(title)
            print(f"  ✗ {title}\n      {type(error).__name__}: {error}", flush=True)
            if not isinstance(error, AssertionError):
                print("      " + traceback.format_exc().strip().replace("\n", "\n      "), flush=True)
            return False
        self.passed += 1
        seconds = time.monotonic() - begun
        print(f"  ✓ {title}" + (f"  ({seconds:.1f} s)" if seconds >= 0.1 else ""), flush=True)
        for line in str(outcome or "").splitlines():
            print(f"      {line}", flush=True)
        return True

    @property
    def ok(self) -> bool:
        return not self.failed

    def summary(self) -> str:
        total = self.passed + len(self.failed)
        return f"{self.passed} of {total} steps held" + (f"; failed: {', '.join(self.failed)}" if self.failed else "")


def expect(condition: object, sentence: str) -> None:
    """An assertion that also holds under `python -O`."""
    if not condition:
        raise AssertionError(sentence)


def eventually(probe: Callable[[], Any], *, within: float, what: str) -> Any:
    """The first truthy answer of `probe` within so many seconds."""
    deadline = time.monotonic() + within
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within:g} s: {what}")
        time.sleep(0.05)
