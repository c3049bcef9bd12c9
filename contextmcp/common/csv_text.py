"""The cells of CSV files that people open in spreadsheets."""

import csv
import re
from collections.abc import Iterable
from datetime import datetime
from html import unescape
from typing import Any

from django.utils.html import strip_tags
from django.utils.safestring import SafeString

# Spreadsheets evaluate a cell that begins with one of these characters as a formula. https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = re.compile(r"[=+\-@\t\r\n]")
# A negative number or amount, such as -$4.00, is not a formula.
_AMOUNT = re.compile(r"-[^\w\s=+\-@(]{0,3}\d[\d,.]*( [A-Z]{3})?")


class _Line:
    """A file-like object for `csv.writer` whose `write` returns the line instead of storing it."""

    def write(self, line: str) -> str:
        return line


_WRITER = csv.writer(_Line())


def line(values: Iterable[Any]) -> str:
    """Return one line of a CSV file."""
    text: str = _WRITER.writerow([cell(value) for value in values])
    return text


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
