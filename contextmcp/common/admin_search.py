"""Search in the lists of the admin: the whole term is compared with indexed columns, by equality or as the beginning."""

from collections import defaultdict
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import EmailField, Model, Q, QuerySet

# Maximum number of rows of a related model (organizations, users) that a search uses. If more match, the results are incomplete, and staff
# see a warning.
MAX_RELATED = 200


class TooManyMatches(Exception):
    """More than `MAX_RELATED` related rows match."""


def search(queryset: QuerySet[Any], paths: Any, term: str) -> tuple[QuerySet[Any], bool]:
    """Return the rows that match the term in at least one path, and whether the result is complete.

    A path is a field with an optional lookup (`number__istartswith`; the default is equality), of the model or of a related model
    (`organization__slug__startswith`). Related rows are queried first, so that each query uses indexes: Postgres cannot combine
    indexes of two tables in one condition.
    """
    condition, complete = _condition(queryset.model, tuple(paths), term.strip())
    return queryset.filter(condition), complete


def _condition(model: type[Model], paths: tuple[str, ...], term: str) -> tuple[Q, bool]:
    condition, complete = Q(pk__in=[]), True
    related: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        name, _, rest = path.partition("__")
        field: Any = model._meta.pk if name == "pk" else model._meta.get_field(name)
        if field.is_relation and rest and not _is_lookup(field, rest):
            related[name].append(rest)
        elif (value := _value(field, rest, term)) is not None:
            condition |= Q(**{path: value})
    for name, rests in related.items():
        field = model._meta.get_field(name)
        inner, inner_complete = _condition(field.related_model, tuple(rests), term)
        rows = field.related_model._base_manager.filter(inner).order_by()
        reverse = field.auto_created and not field.concrete
        target = field.field.attname if reverse else field.target_field.attname
        keys = list(rows.values_list(target, flat=True)[: MAX_RELATED + 1])
        complete &= inner_complete and len(keys) <= MAX_RELATED
        if keys:
            condition |= Q(**{"pk__in" if reverse else f"{name}__in": keys[:MAX_RELATED]})
    return condition, complete


def _is_lookup(field: Any, rest: str) -> bool:
    try:
        field.related_model._meta.get_field(rest.partition("__")[0])
    except FieldDoesNotExist:
        return rest != "pk"
    return False


def _value(field: Any, lookup: str, term: str) -> Any:
    """Return the value to compare with, or None if the field cannot contain the term. Emails are stored in lower case."""
    if lookup == "contains":
        return [term]
    if isinstance(field, EmailField):
        return term.lower()
    try:
        return field.to_python(term)
    except ValidationError:
        return None


def describe(model: type[Model], paths: Any) -> str:
    """Return a sentence that tells staff what they can search for."""
    names = dict.fromkeys(_name(model, path) for path in paths)
    *first, last = names
    return f"Search by {', '.join(first)}{' or ' if first else ''}{last}"


def _name(model: type[Model], path: str) -> str:
    name, _, rest = path.partition("__")
    field: Any = model._meta.pk if name == "pk" else model._meta.get_field(name)
    if field.is_relation and rest and not _is_lookup(field, rest):
        inner = _name(field.related_model, rest)
        if name == "organization" and inner in {"name", "slug", "ID"}:
            return "organization"
        return inner if " " in inner or inner == "organization" else f"{field.related_model._meta.verbose_name} {inner}"
    return " ".join("ID" if word == "id" else "Stripe" if word == "stripe" else word for word in str(field.verbose_name).split())
