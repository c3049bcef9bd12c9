"""Storing an event and queueing the work it makes, in one statement and so in one transaction."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
import psycopg
from django.db import connection

from contextmcp.common.errors import MalformedRequest

# A NUL as JSON writes it. Pairs of backslashes before it are characters of the text, and stay; behind half a pair it is text itself.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")

QUEUE = "billing"
TASK = "billing.tasks.apply_events"


class Data(msgspec.Struct):
    object: dict[str, Any]
    previous_attributes: dict[str, Any] | None = None


class Event(msgspec.Struct):
    """What is read of an event; the whole is kept."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    object: Literal["event"]
    type: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    created: Annotated[int, msgspec.Meta(ge=0, le=253402300799)]
    data: Data
    livemode: bool = False


# One round trip, for events come in bursts. A job is queued exactly when the event is new and no other job waits for its subject: one that
# has not begun works off this event as well. Its row is locked until this transaction ends, so that no worker begins it before the event
# can be seen; one that a worker is just taking is skipped, and the event gets a job of its own.
_STORE = b"""
WITH stored AS (
    INSERT INTO billing_webhookevent
        (event_id, type, subject, livemode, created, payload, source, state, attempts, error, received_at)
    VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8, 0, '', clock_timestamp())
    ON CONFLICT (event_id) DO NOTHING
    RETURNING id
)
SELECT CASE WHEN $8 = 'pending' AND NOT EXISTS (
    SELECT 1 FROM procrastinate_jobs
    WHERE lock = $3 AND status = 'todo' AND task_name = $10 AND scheduled_at IS NULL
    LIMIT 1 FOR SHARE SKIP LOCKED
) THEN procrastinate_defer_jobs_v1(ARRAY[
    ROW($9::text, $10::text, 0, $3::text, NULL, jsonb_build_object('subject', $3::text), NULL)::procrastinate_job_to_defer_v1
]) END
FROM stored
"""

# Of a customer's, but nothing that is kept here follows from them.
_IGNORED = frozenset(
    [
        "billing_portal.session",
        "invoiceitem",
        "mandate",
        "payment_intent",
        "setup_intent",
        "source",
        "tax_id",
    ]
)
# Kinds without a customer in them that still matter: whose they are is found out by the worker.
_OWN_QUEUE = frozenset(["product", "price", "coupon", "promotion_code", "refund", "dispute", "invoice_payment", "test_helpers.test_clock"])


def parse(body: bytes) -> Event:
    """Raises `MalformedRequest` for anything that is not an event."""
    try:
        return msgspec.json.decode(body, type=Event)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedRequest("This is not an event of Stripe's.") from error


def store(event: Event, text: str, *, source: str = "webhook") -> bool:
    """Keep the event and queue its subject. False where it was known already; then nothing is queued. `text` is the event as JSON."""
    subject = subject_of(event)
    values = [
        event.id,
        event.type,
        subject,
        event.livemode,
        datetime.fromtimestamp(event.created, UTC),
        # Postgres keeps no NUL character in JSON.
        _NUL.sub(r"\1", text) if "\\u0000" in text else text,
        source,
        "pending" if subject else "ignored",
        QUEUE,
        TASK,
    ]
    try:
        return _execute(values) is not None
    except psycopg.DataError as error:
        raise MalformedRequest("This is not an event of Stripe's.") from error


def _execute(values: list[Any]) -> Any:
    """On Django's connection, but with psycopg's own cursor: it prepares the statement, and asks no question before it.

    Storing is repeatable, so a connection that turns out to be dead is simply replaced, once.
    """
    connection.ensure_connection()
    try:
        return psycopg.RawCursor(connection.connection).execute(_STORE, values, prepare=True).fetchone()
    except (psycopg.OperationalError, psycopg.InterfaceError):
        if connection.in_atomic_block:
            raise
        connection.close()
        connection.ensure_connection()
        return psycopg.RawCursor(connection.connection).execute(_STORE, values, prepare=True).fetchone()


def subject_of(event: Event) -> str:
    """The customer that the event is about, whose queue it joins; else the object; empty for what is not kept here."""
    thing = event.data.object
    kind = thing.get("object")
    kind = kind if isinstance(kind, str) else ""
    found: Any = None
    if kind == "customer":
        found = thing.get("id")
    elif kind not in _IGNORED:
        found = thing.get("customer") or (event.data.previous_attributes or {}).get("customer")
        if isinstance(found, dict):
            found = found.get("id")
        if not found and kind in _OWN_QUEUE:
            found = thing.get("id")
    return found[:255].replace("\0", "") if isinstance(found, str) else ""
