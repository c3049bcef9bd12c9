"""Exports of lists as CSV (RFC 4180): the list's columns and filters, in batches by position, so that no query runs long."""

import csv
import io
import re
from collections.abc import Iterator
from contextvars import copy_context
from datetime import datetime
from html import unescape
from typing import Any

from django.contrib.admin.utils import label_for_field, lookup_field
from django.utils.html import strip_tags
from django.utils.safestring import SafeString

from accounts import audit
from accounts.models import User
from contextmcp.common.admin_lists import KeysetChangeList

BATCH = 1000
# Spreadsheets evaluate a cell that begins with one of these characters as a formula. https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = re.compile(r"[=+\-@\t\r\n]")
# A negative number or amount, such as -$4.00, is not a formula.
_AMOUNT = re.compile(r"-[^\w\s=+\-@(]{0,3}\d[\d,.]*( [A-Z]{3})?")


def export(changes: KeysetChangeList, user: User, query: str) -> Iterator[bytes]:
    """Return the rows of the list as CSV in UTF-8. The audit log records the end of the export, even if it is aborted."""
    # The response is sent after the request's context has ended.
    context = copy_context()
    target = changes.model._meta.label_lower

    def record(rows: int, complete: bool) -> None:
        after = {"query": query, "rows": rows, "complete": complete}
        context.run(audit.record, "list.exported", organization=None, actor=user, target=target, after=after)

    return _export(changes, record)


def _export(changes: KeysetChangeList, record: Any) -> Iterator[bytes]:
    rows, complete = 0, False
    columns = [name for name in changes.list_display if name != "action_checkbox"]
    model, model_admin = changes.model, changes.model_admin
    try:
        yield _csv([[str(label_for_field(name, model, model_admin)) for name in columns]])
        position, more = "", True
        while more:
            batch, more = changes.keyset.page(changes.queryset, position, BATCH)
            if batch:
                yield _csv([[cell(_value(name, row, model_admin)) for name in columns] for row in batch])
                rows, position = rows + len(batch), changes.keyset.position(batch[-1])
        complete = True
    finally:
        record(rows, complete)


def _value(name: str, row: Any, model_admin: Any) -> Any:
    field, _, value = lookup_field(name, row, model_admin)
    return getattr(row, field.name) if field is not None and field.remote_field else value


def cell(value: Any) -> str:
    """Return the text of a cell. Times are in UTC (ISO 8601). Text that a spreadsheet would evaluate gets the prefix "'"."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case datetime():
            return value.isoformat()
        case list() | tuple():
            text = ", ".join(map(str, value))
        case SafeString():
            text = unescape(strip_tags(value))
        case _:
            text = str(value)
    return f"'{text}" if _FORMULA.match(text) and not _AMOUNT.fullmatch(text) else text


def _csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
