"""Compare subjects: each is sampled once per round, ratios are taken within a round, and the median over the rounds is reported."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from tests.bench.sample import Sample, Subject


@dataclass(frozen=True)
class Options:
    """The duration and the number of samples. `connections` are the concurrency levels of measures that vary them."""

    rounds: int = 3
    seconds: float = 2.0
    connections: tuple[int, ...] = (1, 16, 64)
    sizes: tuple[int, ...] = (1, 100, 1000)
    organizations: int = 1_000
    keys: int = 100_000
    peers: int = 10_000
    events: int = 10_000_000
    # The default number of workers of both, which is one per core of the machine that the targets were set on.
    web_workers: int = 2
    gate_workers: int = 2
    quick: bool = False


QUICK = Options(
    rounds=1,
    seconds=0.02,
    connections=(4,),
    sizes=(1, 50),
    organizations=10,
    keys=40,
    peers=20,
    events=500,
    web_workers=1,
    gate_workers=1,
    quick=True,
)


@dataclass
class Row:
    """One line of the table. `target` and `stretch` are bounds from performance.md; `at_most` says whether they are upper bounds."""

    measure: str
    what: str
    against: str
    value: float
    spread: tuple[float, float]
    unit: str = "x"
    target: float | None = None
    stretch: float | None = None
    at_most: bool = False
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target


@dataclass
class Results:
    """The samples of the subjects of one measure, by round."""

    measure: str
    samples: dict[str, list[Sample]]

    def ratio(
        self,
        what: str,
        against: str,
        *,
        of: str = "rate",
        target: float | None = None,
        stretch: float | None = None,
        at_most: bool = False,
        label: str = "",
    ) -> Row:
        """Add the ratio of `what` to `against`. `of` is any metric of a sample."""
        pairs = zip(self.samples[what], self.samples[against], strict=True)
        values = [getattr(one, of) / getattr(other, of) for one, other in pairs]
        return self._row(label or what, against, values, what, "x", target, stretch, at_most)

    def figure(self, what: str, of: str, unit: str, *, target: float | None = None, stretch: float | None = None, label: str = "") -> Row:
        """Add an absolute metric for which less is better."""
        values = [getattr(one, of) for one in self.samples[what]]
        return self._row(label or what, "", values, what, unit, target, stretch, True)

    def _row(
        self,
        result: str,
        against: str,
        values: list[float],
        what: str,
        unit: str,
        target: float | None,
        stretch: float | None,
        at_most: bool,
    ) -> Row:
        figures = {
            "rate": self.median(what, "rate"),
            "p50_ms": self.median(what, "p50_ms"),
            "p99_ms": self.median(what, "p99_ms"),
            "cpu_us": self.median(what, "cpu_us"),
            "behind_us": self.median(what, "behind_us"),
            "client_us": self.median(what, "client_us"),
            "foreign": self.median(what, "foreign"),
        }
        if against:
            figures |= {"against_rate": self.median(against, "rate"), "against_cpu_us": self.median(against, "cpu_us")}
        # The name of such a row already says what is compared.
        shown = against if result == what else ""
        return Row(self.measure, result, shown, median(values), (min(values), max(values)), unit, target, stretch, at_most, figures)

    def median(self, what: str, of: str) -> float:
        return float(median(getattr(one, of) for one in self.samples[what]))


def interleave(measure: str, subjects: Sequence[Subject], options: Options) -> Results:
    """Sample every subject once per round, in a changing order, so that none always follows the same one."""
    samples: dict[str, list[Sample]] = {subject.name: [] for subject in subjects}
    for number in range(options.rounds):
        order = list(subjects) if number % 2 == 0 else list(reversed(subjects))
        for subject in order:
            used = subject.sample(options.seconds)
            samples[subject.name].append(used)
            say(
                f"  {measure} {number + 1}/{options.rounds}  {subject.name:<48} {used.rate:>9,.0f}/s  p50 {used.p50_ms:7.2f}  "
                f"p99 {used.p99_ms:7.2f} ms  cpu {used.cpu_us:7.1f} us, {used.behind_us:6.1f} behind  foreign {used.foreign:.2f}"
            )
    return Results(measure, samples)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
