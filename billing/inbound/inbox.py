"""Stores an event and queues its processing in one SQL statement, and so in one transaction."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
import psycopg
from django.db import connection

from billing.stripe.redaction import event_without_secrets
from contextmcp.common.db import psycopg_cursor
from contextmcp.common.errors import MalformedRequest

# An escaped NUL in JSON. An even number of backslashes before it are escaped backslashes and are kept; after an odd number, `\u0000` is
# literal text and does not match.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")

QUEUE = "billing"
TASK = "billing.process_events"


class Data(msgspec.Struct):
    object: dict[str, Any]
    previous_attributes: dict[str, Any] | None = None


class Event(msgspec.Struct):
    """The fields of an event that are validated. The complete event is stored as JSON."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    object: Literal["event"]
    type: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    created: Annotated[int, msgspec.Meta(ge=0, le=253402300799)]
    data: Data
    livemode: bool = False


# One round trip, because events arrive in bursts. A job is queued if and only if the event is new and no other job for its subject is
# waiting, because a job that has not started will process this event as well. That job's row is locked until this transaction ends, so that
# no worker starts it before the event is visible. A job that a worker is taking at this moment is skipped (SKIP LOCKED), and the event gets
# its own job.
_INSERT_EVENT_AND_JOB = """
WITH stored AS (
    INSERT INTO billing_webhookevent
        (event_id, type, subject, livemode, created, payload, source, state, attempts, error, received_at)
    VALUES (%(event_id)s, %(type)s, %(subject)s, %(livemode)s, %(created)s, %(payload)s::jsonb, %(source)s, %(state)s, 0, '',
        clock_timestamp())
    ON CONFLICT (event_id) DO NOTHING
    RETURNING id
)
SELECT CASE WHEN %(state)s = 'pending' AND NOT EXISTS (
    SELECT 1 FROM procrastinate_jobs
    WHERE lock = %(subject)s AND status = 'todo' AND task_name = %(task)s AND scheduled_at IS NULL
    LIMIT 1 FOR SHARE SKIP LOCKED
) THEN procrastinate_defer_jobs_v1(ARRAY[
    ROW(%(queue)s::text, %(task)s::text, 0, %(subject)s::text, NULL, jsonb_build_object('subject', %(subject)s::text), NULL)
        ::procrastinate_job_to_defer_v1
]) END
FROM stored
"""

# Objects of a customer that do not affect stored data.
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
# Relevant objects that may not name a customer. The worker determines the customer.
_OWN_QUEUE = frozenset(["product", "price", "coupon", "promotion_code", "refund", "dispute", "invoice_payment", "test_helpers.test_clock"])


def parse_event(body: bytes) -> Event:
    """Parse a webhook body. Raises `MalformedRequest` if it is not a Stripe event."""
    try:
        return msgspec.json.decode(body, type=Event)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedRequest("The request body is not a valid Stripe event.") from error


def store_event(event: Event, text: str, *, source: str = "webhook") -> bool:
    """Store the event and queue its subject. `text` is the event as JSON.

    Returns False, and queues nothing, if the event is already stored. Raises `MalformedRequest` if it cannot be stored.
    """
    subject = subject_of(event)
    try:
        text = event_without_secrets(text)
    except (ValueError, RecursionError) as error:
        raise MalformedRequest("The request body is not a valid Stripe event.") from error
    values = {
        "event_id": event.id,
        "type": event.type,
        "subject": subject,
        "livemode": event.livemode,
        "created": datetime.fromtimestamp(event.created, UTC),
        # PostgreSQL's jsonb cannot store NUL characters.
        "payload": _NUL.sub(r"\1", text) if "\\u0000" in text else text,
        "source": source,
        "state": "pending" if subject else "ignored",
        "queue": QUEUE,
        "task": TASK,
    }
    try:
        return _execute(values) is not None
    except psycopg.DataError as error:
        raise MalformedRequest("The request body is not a valid Stripe event.") from error


def _execute(values: dict[str, Any]) -> Any:
    """Execute the statement with a cursor that prepares it and sends no other query.

    The statement is idempotent, so a dead connection is replaced and the statement is repeated once.
    """
    try:
        return psycopg_cursor(check_health=False).execute(_INSERT_EVENT_AND_JOB, values, prepare=True).fetchone()
    except (psycopg.OperationalError, psycopg.InterfaceError):
        if connection.in_atomic_block:
            raise
        connection.close()
        return psycopg_cursor(check_health=False).execute(_INSERT_EVENT_AND_JOB, values, prepare=True).fetchone()


def subject_of(event: Event) -> str:
    """Return the id whose queue the event joins: its customer's, or otherwise its object's; empty for events that are ignored."""
    document = event.data.object
    kind = document.get("object")
    kind = kind if isinstance(kind, str) else ""
    subject: Any = None
    if kind == "customer":
        subject = document.get("id")
    elif kind not in _IGNORED:
        subject = document.get("customer") or (event.data.previous_attributes or {}).get("customer")
        if isinstance(subject, dict):
            subject = subject.get("id")
        if not subject and kind in _OWN_QUEUE:
            subject = document.get("id")
    return subject[:255].replace("\0", "") if isinstance(subject, str) else ""
