"""Filters of admin lists. Unlike Django's filter of a text field, they do not scan the table for the values to offer."""

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin
from django.db import connection
from django.db.models import Model, QuerySet
from django.http import HttpRequest

MAX_VALUES = 100
# A loose index scan: one lookup for each value, in an index that starts with the column.
# https://wiki.postgresql.org/wiki/Loose_indexscan
_DISTINCT = """
WITH RECURSIVE found AS (
    (SELECT {column} AS value FROM {table} ORDER BY {column} LIMIT 1)
    UNION ALL
    SELECT (SELECT {column} FROM {table} WHERE {column} > found.value ORDER BY {column} LIMIT 1) FROM found WHERE found.value IS NOT NULL
)
SELECT value FROM found WHERE value IS NOT NULL LIMIT {limit}
"""


def choices_filter(field: str, values: Callable[[], Iterable[str]]) -> type[admin.SimpleListFilter]:
    """Return a filter of the rows in which `field` has one of the values that code or configuration defines."""

    class ChoicesFilter(admin.SimpleListFilter):
        title = field.replace("_", " ")
        parameter_name = f"{field}__exact"

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            return [(value, value or "(none)") for value in values()]

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            return queryset if self.value() is None else queryset.filter(**{field: self.value()})

        def has_output(self) -> bool:
            # A filter with a single value is also shown, so that links that use it work.
            return bool(self.lookup_choices)

    return ChoicesFilter


def indexed_values_filter(field: str) -> type[admin.SimpleListFilter]:
    """Return a filter by the stored values of `field`. The table has an index that starts with the field's column."""

    class IndexedValuesFilter(admin.SimpleListFilter):
        title = field.replace("_", " ")
        parameter_name = f"{field}__exact"

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            return [(value, value) for value in distinct_values(model_admin.model, field)]

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            return queryset if self.value() is None else queryset.filter(**{field: self.value()})

        def has_output(self) -> bool:
            return bool(self.lookup_choices) or self.value() is not None

    return IndexedValuesFilter


def distinct_values(model: type[Model], field: str) -> list[str]:
    """Return up to `MAX_VALUES` distinct values of an indexed text field, in order."""
    quote = connection.ops.quote_name
    column: Any = model._meta.get_field(field)
    names = {"column": quote(column.column), "table": quote(model._meta.db_table)}
    with connection.cursor() as cursor:
        cursor.execute(_DISTINCT.format(**names, limit=MAX_VALUES))
        return [value for (value,) in cursor.fetchall()]
