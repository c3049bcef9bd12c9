"""The blocks of a panel (facts, tables, charts), and the formatting of amounts and states."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from django.urls import reverse
from django.utils.http import urlencode

from contextmcp.common.money import format_amount

Tone = Literal["", "success", "warning", "danger", "info", "neutral"]
SHOWN_ROWS = 10


@dataclass(frozen=True)
class Cell:
    """A text with an optional link. A `tone` other than "" makes it a badge. `lines` are further lines of text below it.

    The text of an `external` link opens another site.
    """

    text: str
    link: str = ""
    tone: Tone = ""
    lines: tuple[str, ...] = ()
    external: bool = False


@dataclass(frozen=True)
class Row:
    """A table's row. A `marked` row is highlighted and has a visible note, so that the color is not the only sign."""

    cells: tuple[Cell, ...]
    marked: bool = False


@dataclass(frozen=True)
class Facts:
    """A list of labels with their values."""

    template: ClassVar = "backoffice/organization/blocks/facts.html"
    items: tuple[tuple[str, Cell], ...]
    title: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under column headings. `more` is the URL of the complete list, and `empty` the text of a table without rows."""

    template: ClassVar = "backoffice/organization/blocks/table.html"
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    empty: str
    title: str = ""
    more: str = ""
    note: str = ""

    @property
    def labeled_rows(self) -> list[tuple[Row, list[tuple[str, Cell]]]]:
        """Return each row with its cells and their column headings."""
        return [(row, list(zip(self.columns, row.cells, strict=True))) for row in self.rows]


@dataclass(frozen=True)
class Note:
    """A paragraph."""

    template: ClassVar = "backoffice/organization/blocks/note.html"
    text: str


@dataclass(frozen=True)
class Fragment:
    """A block with its own template."""

    template: str
    context: dict[str, Any] = field(default_factory=dict)


Block = Facts | Table | Note | Fragment


def row(*cells: Cell | str, marked: bool = False) -> Row:
    return Row(tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in cells), marked)


def short_table(columns: Sequence[str], rows: Sequence[Row], *, empty: str, more: str = "", title: str = "", note: str = "") -> Table:
    """Return a table of the first rows. Pass `rows` up to one more than `SHOWN_ROWS`: the link to the list is shown if there are more."""
    shown = tuple(rows[:SHOWN_ROWS])
    return Table(tuple(columns), shown, empty, title, more if len(rows) > SHOWN_ROWS else "", note)


def money(minor: int | None, currency: str, missing: str = "-") -> str:
    """Format minor units of `currency`."""
    return missing if minor is None else format_amount(minor, currency or "usd")


def number(value: int | None, missing: str = "unlimited") -> str:
    return missing if value is None else f"{value:,}"


def person(user: Any, missing: str = "System") -> str:
    return str(user) if user is not None else missing


def action_link(organization: Any, name: str, **initial: Any) -> str:
    """Return the URL of a staff action on the organization, with initial values of its form."""
    return f"{reverse('backoffice:action', args=[organization.pk, name])}?{urlencode(initial)}"
