"""Support of the `Idempotency-Key` header: a successful response is stored and replayed, an error is not."""

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db import transaction
from rest_framework.request import Request
from rest_framework.response import Response

from .errors import IdempotencyConflict
from .http_rules import check_idempotency_key
from .locks import Namespace, lock_in_transaction, session_lock
from .models import IdempotencyRecord


def idempotent(
    request: Request,
    owner: object,
    handle_request: Callable[[], Response],
    *,
    keep: Callable[[Any], Any] = lambda data: data,
    atomic: bool = True,
) -> Response:
    """Return the stored response of the first request with this key, or call `handle_request` and store its response if it succeeds.

    `keep` returns the part of the response that is stored, for example without a new API key. With `atomic`, the change and the record
    commit together. A handler that calls Stripe must not hold a transaction: it passes `atomic=False` and stores a row of its own, so
    that it can be repeated safely.

    Raises:
        IdempotencyConflict: the key was used with another request, or the first request is still in progress.
        ValidationFailed: the key is malformed.
    """
    key = check_idempotency_key(request.headers.get("Idempotency-Key"))
    if key is None:
        return handle_request()
    with transaction.atomic() if atomic else nullcontext(), _lock(f"{owner}:{key}", atomic=atomic) as acquired:
        if not acquired:
            raise IdempotencyConflict("A request with this Idempotency-Key is still in progress.", retry_after=1)
        return _answer(request, str(owner), key, handle_request, keep)


def _lock(key: str, *, atomic: bool) -> AbstractContextManager[bool]:
    if atomic:
        return nullcontext(lock_in_transaction(Namespace.IDEMPOTENCY_KEY, key, wait=False))
    return session_lock(Namespace.IDEMPOTENCY_KEY, key)


def _answer(request: Request, owner: str, key: str, handle_request: Callable[[], Response], keep: Callable[[Any], Any]) -> Response:
    fingerprint = hashlib.sha256(
        f"{request.method} {request.path} {json.dumps(request.data, sort_keys=True, default=str)}".encode()
    ).hexdigest()
    record = IdempotencyRecord.objects.filter(owner=owner, key=key).first()
    if record is not None:
        if record.fingerprint != fingerprint:
            raise IdempotencyConflict("This Idempotency-Key was already used with another request.")
        return Response(record.response, status=record.status, headers={"Idempotent-Replayed": "true"})
    answer = handle_request()
    if answer.status_code < 300:
        stored = json.loads(json.dumps(keep(answer.data), default=str))
        IdempotencyRecord.objects.create(owner=owner, key=key, fingerprint=fingerprint, status=answer.status_code, response=stored)
    return answer
