"""Exports of lists as CSV (RFC 4180): the list's columns and filters, in batches by position, so that no query runs long."""

import csv
import io
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

from django.contrib.admin.utils import label_for_field, lookup_field

from accounts import audit
from accounts.models import User
from contextmcp.common.admin_lists import KeysetChangeList
from contextmcp.common.csv_text import cell

BATCH = 1000


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


def _csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
