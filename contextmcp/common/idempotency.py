"""`Idempotency-Key` for the endpoints that create: a success is stored and replayed, a refusal is not."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from django.db import connection, transaction
from rest_framework.request import Request
from rest_framework.response import Response

from .errors import IdempotencyConflict, ValidationFailed
from .models import IdempotencyRecord

HEADER = "Idempotency-Key"


def once(
    request: Request,
    owner: object,
    act: Callable[[], Response],
    *,
    keep: Callable[[Any], Any] = lambda data: data,
    atomic: bool = True,
) -> Response:
    """Answer as the first request with this key did, or `act` and remember a success.

    `keep` says what of the answer is stored (a new API key is not). With `atomic`, the act and its record commit together. An act that
    calls Stripe must not hold a transaction: it passes `atomic=False` and makes itself repeatable by a row of its own.
    A second request while the first is under way gets `IdempotencyConflict`.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return act()
    if not 1 <= len(key) <= 255 or not key.isascii() or not key.isprintable():
        raise ValidationFailed(errors=[{"field": HEADER, "message": "Give 1 to 255 printable ASCII characters."}])
    if atomic:
        with transaction.atomic():
            _lock(owner, key, "pg_try_advisory_xact_lock")
            return _answer(request, str(owner), key, act, keep)
    _lock(owner, key, "pg_try_advisory_lock")
    try:
        return _answer(request, str(owner), key, act, keep)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 1))", [f"{owner}:{key}"])


def _lock(owner: object, key: str, function: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(hashtextextended(%s, 1))", [f"{owner}:{key}"])
        if cursor.fetchone() != (True,):
            raise IdempotencyConflict("A request with this Idempotency-Key is still under way.", retry_after=1)


def _answer(request: Request, owner: str, key: str, act: Callable[[], Response], keep: Callable[[Any], Any]) -> Response:
    fingerprint = hashlib.sha256(
        f"{request.method} {request.path} {json.dumps(request.data, sort_keys=True, default=str)}".encode()
    ).hexdigest()
    record = IdempotencyRecord.objects.filter(owner=owner, key=key).first()
    if record is not None:
        if record.fingerprint != fingerprint:
            raise IdempotencyConflict("This Idempotency-Key was already used with another request.")
        return Response(record.response, status=record.status, headers={"Idempotent-Replayed": "true"})
    answer = act()
    if answer.status_code < 300:
        stored = json.loads(json.dumps(keep(answer.data), default=str))
        IdempotencyRecord.objects.create(owner=owner, key=key, fingerprint=fingerprint, status=answer.status_code, response=stored)
    return answer
