"""Postgres connections: prepared statements, connection string, timeouts and the check for transaction pooling."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections
from psycopg import pq
from psycopg.conninfo import make_conninfo

# Timeouts of waiting for a lock and of one statement. The gate uses the same values (`contextmcp.gate.driver`).
LOCK_SECONDS = 2
STATEMENT_SECONDS = 20
_FATAL = re.compile(r"FATAL:\s+(.+)")


def describe_error(error: BaseException | None) -> str:
    """Return the SQLSTATE of a psycopg error, or the message with which Postgres refused the connection, or the error's type.

    The rest of the error's message is left out, because it contains the connection string.
    """
    if state := getattr(error, "sqlstate", None):
        return str(state)
    refused = _FATAL.search(str(error))
    return refused[1] if refused else type(error).__name__


def psycopg_cursor(*, check_health: bool = True) -> "psycopg.Cursor[Any]":
    """Return a psycopg cursor on Django's connection. Unlike Django's cursor it prepares statements and reads binary results.

    It raises psycopg's errors. With `check_health`, a dead or expired connection is replaced first. If CONN_HEALTH_CHECKS is set, the check
    takes a query. Omit it if the caller repeats its statement on a new connection anyway.
    """
    if check_health:
        connection.close_if_health_check_failed()
    connection.ensure_connection()
    return psycopg.Cursor(connection.connection)


def fetch_prepared(statement: LiteralString, parameters: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
    """Return the rows of a statement that the server prepares once per connection. Raises Django's database errors."""
    with connection.wrap_database_errors:
        return psycopg_cursor().execute(statement, parameters, prepare=True).fetchall()


def limit_waiting(new: psycopg.Connection[Any]) -> None:
    """Set the lock and statement timeouts on a new connection.

    After a lock timeout the response is 503. After a statement timeout it is 500, and an alert is raised.
    """
    with new.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'; SET statement_timeout = '{STATEMENT_SECONDS}s'")


def connection_string() -> str:
    """Return Django's database as a libpq connection string, for connections that Django does not open."""
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    parameters = connections["default"].get_connection_params()
    return make_conninfo("", **{name: value for name, value in parameters.items() if name in known})


# With transaction pooling two idle clients usually share a server connection; several attempts detect it reliably.
POOLING_ATTEMPTS = 5


def check_pooling() -> None:
    """Raise `ImproperlyConfigured` if a pooler gives each transaction another connection to Postgres (PgBouncer in transaction mode).

    Prepared statements, session settings and session advisory locks would be lost or reach other clients. If Postgres is unreachable,
    the check is skipped.
    """
    try:
        with psycopg.connect(connection_string(), autocommit=True) as first:
            if _server(first) == first.info.backend_pid:
                return  # A direct connection: a pooler reports its own process IDs.
            with psycopg.connect(connection_string(), autocommit=True) as second:
                servers = [(_server(first), _server(second)) for _ in range(POOLING_ATTEMPTS)]
    except psycopg.OperationalError:
        return
    if any(one == other for one, other in servers) or len({one for one, _ in servers}) > 1:
        raise ImproperlyConfigured(
            "DATABASE_URL leads to a connection pooler in transaction mode, which this product cannot use: connect to Postgres itself, or"
            " set the pooler to session mode (docs/operations.md, Connections to Postgres)."
        )


def _server(other: psycopg.Connection[Any]) -> int:
    row = other.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])
