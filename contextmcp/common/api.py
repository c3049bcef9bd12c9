"""How the HTTP API reads and writes: camelCase JSON, strict bodies, cursor pages."""

import json
from collections import OrderedDict
from typing import IO, Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import DataError
from rest_framework import serializers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import BaseParser
from rest_framework.response import Response

from .errors import MalformedRequest, NotFound, PayloadTooLarge, ValidationFailed


def camel(name: str) -> str:
    """`resets_at` to `resetsAt`."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def camelize(value: Any) -> Any:
    """The same for the keys of dictionaries, at any depth."""
    if isinstance(value, dict):
        return {camel(key) if isinstance(key, str) else key: camelize(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [camelize(inner) for inner in value]
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class StrictJSONParser(BaseParser):
    """JSON as RFC 8259 has it: UTF-8, no NaN; anything else is a `MalformedRequest`, never a 500."""

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
    """A `format` that an address has not is a wrong parameter, not an address that is not there."""

    def filter_renderers(self, renderers: Any, format: str) -> Any:
        found = [renderer for renderer in renderers if renderer.format == format]
        if not found:
            known = " or ".join(renderer.format for renderer in renderers)
            raise ValidationFailed(errors=[{"field": "format", "message": f"Give {known}."}])
        return found


class Schema(serializers.Serializer[Any]):
    """A body, declared in snake_case and spoken in camelCase. A field it does not know is an error, not ignored."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        fields = OrderedDict()
        for name, field in super().get_fields().items():
            spoken = camel(name)
            if spoken != name and field.source is None:
                field.source = name
            fields[spoken] = field
        return fields

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = sorted(set(map(str, data)) - set(self.fields))
            if unknown:
                raise serializers.ValidationError(dict.fromkeys(unknown, "There is no such field."))
            text = json.dumps(data, default=str, ensure_ascii=False)
            if "\\u0000" in text or not _encodable(text):
                raise serializers.ValidationError({"non_field_errors": ["A NUL character or half a surrogate pair cannot be stored."]})
            wrong = {name: said for name, field in self.fields.items() if (said := _wrong_type(field, data.get(name)))}
            if wrong:
                raise serializers.ValidationError(wrong)
        return super().to_internal_value(data)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _wrong_type(field: Any, value: Any) -> str | None:
    """JSON has types of its own: "3" is no number and 1 is not true, although a form could not say it better."""
    if value is None:
        return None
    if isinstance(field, serializers.BooleanField):
        return None if isinstance(value, bool) else "Give true or false."
    if isinstance(field, serializers.IntegerField):
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        return None if whole and not isinstance(value, bool) else "Give a whole number."
    if isinstance(field, serializers.CharField | serializers.ChoiceField | serializers.DateTimeField | serializers.UUIDField):
        return None if isinstance(value, str) else "Give text."
    return None


class Page(CursorPagination):
    """`?cursor=`, `?limit=` (1 to 100); newest first. Views may set another `ordering`."""

    page_size = 25
    max_page_size = 100
    page_size_query_param = "limit"
    ordering: Any = ("-created_at", "-id")

    def get_page_size(self, request: Any) -> int | None:
        """A `limit` that is no number, or none that is taken, is told instead of being passed over."""
        given = request.query_params.get(self.page_size_query_param)
        if given is None:
            return self.page_size
        if not (given.isascii() and given.isdigit() and 1 <= int(given[:9]) <= self.max_page_size):
            message = f"Give a whole number from 1 to {self.max_page_size}."
            raise ValidationFailed(errors=[{"field": self.page_size_query_param, "message": message}])
        return int(given)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        size = {"type": "integer", "minimum": 1, "maximum": self.max_page_size, "default": self.page_size}
        return [
            {
                "name": "cursor",
                "in": "query",
                "schema": {"type": "string"},
                "description": "`nextCursor` or `previousCursor` of another page.",
            },
            {"name": "limit", "in": "query", "schema": size, "description": "How many a page holds."},
        ]

    def paginate_queryset(self, queryset: Any, request: Any, view: Any = None) -> Any:
        """A cursor that was made up may hold anything, such as a date that is none."""
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, ValidationError, DataError) as error:
            raise NotFound("There is no such page.") from error

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
            "properties": {"data": schema, "nextCursor": cursor, "previousCursor": cursor},
        }


def _cursor(link: str | None) -> str | None:
    return parse_qs(urlsplit(link).query)["cursor"][0] if link else None
