"""What a run found: figures, and for each that has one, the bound it must keep."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """`met` is None where nothing was promised."""

    what: str
    value: str
    bound: str = ""
    met: bool | None = None


@dataclass
class Figures:
    """The figures of one run, and what a reader needs to see of a miss."""

    figures: list[Figure] = field(default_factory=list)
    details: list[str] = field(default_factory=list)

    def tell(self, what: str, value: object) -> None:
        """A figure that only informs."""
        self.figures.append(Figure(what, _text(value)))

    def at_least(self, what: str, value: float, bound: float) -> None:
        self._promise(what, value, f"at least {_text(bound)}", value >= bound)

    def at_most(self, what: str, value: float, bound: float) -> None:
        self._promise(what, value, f"at most {_text(bound)}", value <= bound)

    def none(self, what: str, found: list[str]) -> None:
        """There must be none of these; the first of them are shown."""
        self._promise(what, len(found), "none", not found)
        self.details += found[:20]

    @property
    def met(self) -> bool:
        return all(figure.met is not False for figure in self.figures)

    def _promise(self, what: str, value: object, bound: str, met: bool) -> None:
        self.figures.append(Figure(what, _text(value), bound, met))


def _text(value: object) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
