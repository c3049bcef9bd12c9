"""Base classes of the HTTP API: camelCase JSON, strict request bodies and cursor pagination."""

import json
from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import IO, Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import DataError
from rest_framework import serializers
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import BaseParser
from rest_framework.response import Response

from .errors import MalformedRequest, NotFound, PayloadTooLarge, UnknownParameter, ValidationFailed


def camel(name: str) -> str:
    """Return the camelCase form of a snake_case name: `resets_at` becomes `resetsAt`."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def camelize(value: Any) -> Any:
    """Return `value` with the keys of all dictionaries in camelCase, at any depth."""
    if isinstance(value, dict):
        return {camel(key) if isinstance(key, str) else key: camelize(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [camelize(inner) for inner in value]
    return value


def json_default(value: Any) -> str:
    """Return a value that JSON has no type for as text, as the `default` of `json.dumps`. A datetime becomes RFC 3339 in UTC with `Z`."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class StrictJSONParser(BaseParser):
    """Parse JSON as RFC 8259 defines it: UTF-8, no NaN. Raises `MalformedRequest` for anything else."""

    media_type = "application/json"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise PayloadTooLarge
        try:
            return json.loads(body.decode(), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise MalformedRequest from error


class Negotiation(DefaultContentNegotiation):
    """Return 422 instead of DRF's 404 for an unknown `format` parameter, and treat `Accept` as a preference only."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        """Use the first renderer if none is acceptable (RFC 9110, 12.5.1). The gate does the same."""
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            return renderers[0], renderers[0].media_type

    def filter_renderers(self, renderers: Any, format: str) -> Any:
        matches = [renderer for renderer in renderers if renderer.format == format]
        if not matches:
            known = " or ".join(renderer.format for renderer in renderers)
            raise ValidationFailed.of_field("format", f"Use {known}.")
        return matches


class Schema(serializers.Serializer[Any]):
    """A JSON body, declared in snake_case and serialized in camelCase. An unknown field is an error."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        fields = OrderedDict()
        for name, field in super().get_fields().items():
            json_name = camel(name)
            if json_name != name and field.source is None:
                field.source = name
            fields[json_name] = field
        return fields

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = sorted(set(map(str, data)) - set(self.fields))
            if unknown:
                raise serializers.ValidationError(dict.fromkeys(unknown, "Unknown field."))
            text = json.dumps(data, default=str, ensure_ascii=False)
            if "\\u0000" in text or not _encodable(text):
                raise serializers.ValidationError({"non_field_errors": ["NUL characters and unpaired surrogates cannot be stored."]})
            type_errors = {name: message for name, field in self.fields.items() if (message := _type_error(field, data.get(name)))}
            if type_errors:
                raise serializers.ValidationError(type_errors)
        return super().to_internal_value(data)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _type_error(field: Any, value: Any) -> str | None:
    """Return a message if the JSON type is wrong. DRF would accept "3" as a number and 1 as true, because forms only have text."""
    if value is None:
        return None
    if isinstance(field, serializers.BooleanField):
        return None if isinstance(value, bool) else "Enter true or false."
    if isinstance(field, serializers.IntegerField):
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        return None if whole and not isinstance(value, bool) else "Enter a whole number."
    if isinstance(field, serializers.CharField | serializers.ChoiceField | serializers.DateTimeField | serializers.UUIDField):
        return None if isinstance(value, str) else "Enter a string."
    return None


def validated_data(schema: type[Schema], request: Any) -> dict[str, Any]:
    """Return the request's body validated by `schema`. Raises DRF's `ValidationError`."""
    body = schema(data=request.data)
    body.is_valid(raise_exception=True)
    data: dict[str, Any] = body.validated_data
    return data


def refuse_parameters(names: Iterable[str], *known: str) -> None:
    """Raise `UnknownParameter` for the names of query parameters that are not known."""
    unknown = [name for name in dict.fromkeys(names) if name not in known]
    if unknown:
        raise UnknownParameter(errors=[{"field": name[:64], "message": "Unknown query parameter."} for name in unknown])


class Page(CursorPagination):
    """Cursor pagination with the parameters `cursor` and `limit` (1 to 100), newest first. Views may set another `ordering`."""

    page_size = 25
    max_page_size = 100
    page_size_query_param = "limit"
    ordering: Any = ("-created_at", "-id")

    def get_page_size(self, request: Any) -> int | None:
        """Return the page size. Raises `ValidationFailed` for an invalid `limit`, which DRF would ignore."""
        limit = request.query_params.get(self.page_size_query_param)
        if limit is None:
            return self.page_size
        if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= self.max_page_size):
            message = f"Enter a whole number from 1 to {self.max_page_size}."
            raise ValidationFailed.of_field(self.page_size_query_param, message)
        return int(limit)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        size = {"type": "integer", "minimum": 1, "maximum": self.max_page_size, "default": self.page_size}
        return [
            {
                "name": "cursor",
                "in": "query",
                "schema": {"type": "string"},
                "description": "`nextCursor` or `previousCursor` of another page.",
            },
            {"name": "limit", "in": "query", "schema": size, "description": "Maximum number of results per page."},
        ]

    def paginate_queryset(self, queryset: Any, request: Any, view: Any = None) -> Any:
        """Return one page. Raises `NotFound` for an invalid cursor, whose content may be anything, such as a malformed date."""
        refuse_parameters(request.query_params, self.cursor_query_param, self.page_size_query_param)
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, ValidationError, DataError) as error:
            raise NotFound("The cursor is not valid.") from error

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {
                "data": data,
                "nextCursor": _cursor(self.get_next_link()),
                "previousCursor": _cursor(self.get_previous_link()),
            }
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        cursor = {"type": ["string", "null"], "example": None}
        return {
            "type": "object",
            "required": ["data", "nextCursor", "previousCursor"],
            "properties": {
                "data": schema,
                "nextCursor": {**cursor, "description": "Value of `cursor` for the next page. null on the last page."},
                "previousCursor": {**cursor, "description": "Value of `cursor` for the previous page. null on the first page."},
            },
        }


def _cursor(link: str | None) -> str | None:
    return parse_qs(urlsplit(link).query)["cursor"][0] if link else None
