"""The names of metrics in docs/operations.md and in a response of `/metrics`."""

import re

from contextmcp.devstack.services import REPOSITORY

# metrics of the client library
_LIBRARY = re.compile(r"python_|process_")
_SUFFIX = {"counter": "_total"}


def documented() -> set[str]:
    """Return the names in the first column of the table."""
    section = (REPOSITORY / "docs" / "operations.md").read_text().partition("\n## Metrics\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+`) \|", section, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}


def exposed(text: str) -> set[str]:
    """Return the names that a response of `/metrics` declares."""
    declared = re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE)
    return {name for name in declared if not _LIBRARY.match(name) and not name.endswith("_created")}
