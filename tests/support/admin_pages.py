"""Every list of the admin with its searches and filters, for tests and the benchmark of the back office."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model
from django.urls import reverse

# Nothing matches it, so that every index is searched to its end.
NOTHING = "zzz-no-such-thing"


def models() -> list[type[Model]]:
    return sorted(admin.site._registry, key=lambda model: model._meta.label)


def changelist(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def change(model: type[Model], row: Model) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk])


def middle(model: type[Model]) -> Model | None:
    """Return a row from the middle of the table's primary keys. The newest rows are cached and would flatter the measurement."""
    last = model._default_manager.order_by("-pk").first()
    if last is None:
        return None
    if isinstance(last.pk, int):
        return model._default_manager.filter(pk__gte=last.pk // 2).order_by("pk").first()
    return model._default_manager.order_by("pk").first()


def searches(model: type[Model], row: Model | None) -> Iterator[str]:
    """Return a query string for each path that the list searches, with a value that exists, and one that matches nothing."""
    paths = admin.site._registry[model].search_fields
    terms = {str(value) for path in paths if row is not None and (value := _value(row, path)) not in (None, "")}
    if paths:
        yield from (f"?{urlencode({'q': term})}" for term in sorted(terms | {NOTHING}))


def filters(changes: Any) -> Iterator[str]:
    """Return a query string for each choice of each filter of a `ChangeList`."""
    for spec in changes.filter_specs:
        for choice in spec.choices(changes):
            if not choice.get("selected"):
                yield choice["query_string"]


def _value(row: Any, path: str) -> Any:
    for name in path.split("__"):
        if name in {"exact", "startswith", "istartswith"}:
            break
        if name == "contains":
            return row[0] if row else None
        if name == "has_word":
            return row.split()[0] if row else None
        try:
            row = getattr(row, name)
        except ObjectDoesNotExist:
            return None
        row = row.first() if hasattr(row, "first") else row
        if row is None:
            return None
    return row
