"""How long a request may wait for Postgres."""

from typing import Any

# A row that somebody else holds; the whole of one statement. The gate waits for as long (`contextmcp.gate.wire`).
LOCK_SECONDS = 2
STATEMENT_SECONDS = 20


def limit_waiting(connection: Any, **_: Any) -> None:
    """Set both limits on a new connection (`connection_created`).

    Waiting for longer is answered 503; a longer statement is a 500, for somebody to look at.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'; SET statement_timeout = '{STATEMENT_SECONDS}s'")
