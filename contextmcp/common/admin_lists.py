"""Lists of the admin that stay fast with millions of rows.

A page is found by its position in an index (keyset pagination), not by counting the rows before it. Each list has a single order, whose
columns are indexed and never null. Searches compare the whole term with indexed columns (`admin_search`).
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, ClassVar

from django.contrib.admin import ShowFacets
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import BooleanField, F, Func, Model, Q, QuerySet, Value
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.views import ChangeList

AFTER, BEFORE = "after", "before"
# "Select all rows" is offered for at most this many rows, because the rows must be counted.
MAX_COUNT = 1000


class RowComparison(Func):
    """`(a, b) < (x, y)` or `>`: whether a row precedes or follows a position. Postgres finds the position in an index on (a, b)."""

    output_field = BooleanField()
    conditional = True

    def __init__(self, *parts: Any, operator: str = "<") -> None:
        super().__init__(*parts)
        self.operator = operator

    def as_sql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        compiled = [compiler.compile(each) for each in self.get_source_expressions()]
        half = len(compiled) // 2
        left, right = (", ".join(sql for sql, _ in part) for part in (compiled[:half], compiled[half:]))
        return f"({left}) {self.operator} ({right})", [value for _, values in compiled for value in values]


@dataclass(frozen=True)
class Keyset:
    """The order of a list: columns (as in `order_by`) that are together unique."""

    ordering: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name.removeprefix("-") for name in self.ordering)

    def fields(self, model: type[Model]) -> list[Any]:
        return [model._meta.pk if name == "pk" else model._meta.get_field(name) for name in self.names]

    def position(self, row: Model) -> str:
        """Return the position of a row as text for a URL."""
        values = json.dumps([field.value_to_string(row) for field in self.fields(type(row))], separators=(",", ":"))
        return base64.urlsafe_b64encode(values.encode()).decode().rstrip("=")

    def page(self, queryset: QuerySet[Any], position: str, size: int, *, before: bool = False) -> tuple[list[Any], bool]:
        """Return up to `size` rows after (or before) a position, in the list's order, and whether there are more in that direction.

        An empty position is the start of the list.

        Raises:
            ValueError: the position is malformed.
        """
        ordering = [_reversed(name) for name in self.ordering] if before else list(self.ordering)
        if position:
            queryset = queryset.filter(_following(ordering, self._values(queryset.model, position)))
        rows = list(queryset.order_by(*ordering)[: size + 1])
        more = len(rows) > size
        rows = rows[:size]
        return (rows[::-1] if before else rows), more

    def _values(self, model: type[Model], position: str) -> list[Value]:
        try:
            texts = json.loads(base64.urlsafe_b64decode(position + "=" * (-len(position) % 4)))
            return [Value(field.to_python(text), output_field=field) for field, text in zip(self.fields(model), texts, strict=True)]
        except (binascii.Error, UnicodeDecodeError, TypeError, OverflowError, RecursionError, ValidationError) as error:
            raise ValueError("malformed position") from error


def _reversed(name: str) -> str:
    return name.removeprefix("-") if name.startswith("-") else f"-{name}"


def _following(ordering: list[str], values: list[Value]) -> Any:
    """Return the condition of the rows after a position. Columns of different directions cannot be compared as one row."""
    columns = [name.removeprefix("-") for name in ordering]
    operators = ["<" if name.startswith("-") else ">" for name in ordering]
    if len(set(operators)) == 1:
        return RowComparison(*map(F, columns), *values, operator=operators[0])
    condition, equal = Q(), Q()
    for column, operator, value in zip(columns, operators, values, strict=True):
        condition |= equal & Q(**{f"{column}__{'lt' if operator == '<' else 'gt'}": value})
        equal &= Q(**{column: value})
    return condition


@dataclass(frozen=True)
class KeysetLinks:
    """The links below a list, which replace Django's paginator. A link is empty if there is no such page."""

    first: str
    previous: str
    next: str
    template_name = "admin/keyset_pagination.html"


class KeysetChangeList(ChangeList):  # type: ignore[misc]
    """A list with "previous" and "next" instead of page numbers. `?o=` has no effect: the order is that of the admin class."""

    def get_filters(self, request: HttpRequest) -> Any:
        # This is the first method that Django calls after it has read the parameters. The position is removed from them here, because links
        # of filters must not contain it.
        self.after, self.before = (request.GET.get(name, "") for name in (AFTER, BEFORE))
        for parameters in (self.params, self.filter_params):
            for name in (AFTER, BEFORE):
                parameters.pop(name, None)
        return super().get_filters(request)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[str]:
        ordering: list[str] = list(self.model_admin.get_ordering(request))
        # Django adds the primary key to an order that is not total, but does not recognize "pk".
        return ordering if ordering[-1].endswith("pk") else self._get_deterministic_ordering(ordering)

    def get_results(self, request: HttpRequest) -> None:
        self.keyset = keyset = Keyset(tuple(self.queryset.query.order_by))
        size, position = self.list_per_page, self.before or self.after
        try:
            rows, more = keyset.page(self.queryset, position, size, before=bool(self.before))
        except ValueError as error:
            raise IncorrectLookupParameters from error
        has_previous, has_next = (more, True) if self.before else (bool(self.after), more)
        self.result_list = rows
        self.paginator = KeysetLinks(
            first=self.get_query_string() if has_previous else "",
            previous=self.get_query_string({BEFORE: keyset.position(rows[0])}) if rows and has_previous else "",
            next=self.get_query_string({AFTER: keyset.position(rows[-1])}) if rows and has_next else "",
        )
        self.result_count = self.full_result_count = self._count(request, len(rows), has_previous or has_next)
        self.show_admin_actions = bool(rows)
        self.show_full_result_count = self.can_show_all = self.multi_page = False

    def _count(self, request: HttpRequest, shown: int, has_others: bool) -> int:
        """Return the number of rows if staff may select all of them for an action; otherwise the number of rows on this page."""
        if not has_others or not self.model_admin.get_actions(request):
            return shown
        count = self.queryset.order_by()[: MAX_COUNT + 1].count()
        return shown if count > MAX_COUNT else count


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """The paginator of the fields that search for related rows. It counts at most `MAX_COUNT` rows."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[:MAX_COUNT].count())


class KeysetListMixin:
    """Admin class whose list is a `KeysetChangeList`.

    `ordering` names columns that are indexed together and never null. By default that is the primary key: numbers
    and UUIDs of version 7 are in the order of creation.
    """

    ordering: ClassVar[Any] = ("-pk",)
    sortable_by: ClassVar[Any] = ()
    # Rendering takes two milliseconds per row.
    list_per_page = 50
    paginator = BoundedPaginator
    # Facets count the rows of each filter.
    show_facets = ShowFacets.NEVER
    show_full_result_count = False
    change_list_template = "backoffice/change_list.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetChangeList
