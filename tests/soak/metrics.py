"""The result of a run: its metrics, and the bound of each metric that has one."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """One metric. `met` is None if it has no bound."""

    what: str
    value: str
    bound: str = ""
    met: bool | None = None


@dataclass
class Figures:
    """The metrics of one run, and the details of each failure."""

    figures: list[Figure] = field(default_factory=list)
    details: list[str] = field(default_factory=list)

    def add(self, what: str, value: object) -> None:
        """Add a metric without a bound."""
        self.figures.append(Figure(what, _text(value)))

    def at_least(self, what: str, value: float, bound: float) -> None:
        self._promise(what, value, f"at least {_text(bound)}", value >= bound)

    def at_most(self, what: str, value: float, bound: float) -> None:
        self._promise(what, value, f"at most {_text(bound)}", value <= bound)

    def none(self, what: str, result: list[str]) -> None:
        """Add a metric that must be zero. The first occurrences are shown."""
        self._promise(what, len(result), "none", not result)
        self.details += result[:20]

    @property
    def met(self) -> bool:
        return all(figure.met is not False for figure in self.figures)

    def _promise(self, what: str, value: object, bound: str, encountered: bool) -> None:
        self.figures.append(Figure(what, _text(value), bound, encountered))


def _text(value: object) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
