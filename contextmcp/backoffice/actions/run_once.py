"""Execute a confirmed form once, however often it is submitted."""

import hashlib
import json
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.models import User
from contextmcp.common.errors import Conflict, IdempotencyConflict
from contextmcp.common.locks import Namespace, session_lock
from contextmcp.common.models import IdempotencyRecord

# A second submission waits for the first one, which may call Stripe several times.
WAIT_SECONDS = 30


class ActionInProgress(Conflict):
    code = "action_in_progress"
    message = "This action is still running. Reload the organization's page in a moment to see the result."


def run_once(actor: User, submission: UUID, content: Any, work: Callable[[], str], *, subject: str, atomic: bool) -> str:
    """Return the result of `work`, or that of the first submission with this id. Errors are raised and not stored.

    Actions on one `subject` (the ID of an organization) run one after the other: each compares its preview with the result of the one
    before. `content` is the JSON-serializable input. With `atomic`, the change and the record of the result are one transaction.

    Raises:
        IdempotencyConflict: the id was used with other input.
        ActionInProgress: the first submission is still running.
    """
    owner, key = f"user:{actor.pk}", f"action:{submission}"
    fingerprint = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
    with session_lock(Namespace.STAFF_ACTION, key, timeout=WAIT_SECONDS) as acquired:
        if not acquired:
            raise ActionInProgress
        record = IdempotencyRecord.objects.filter(owner=owner, key=key).first()
        if record is not None:
            if record.fingerprint != fingerprint:
                raise IdempotencyConflict("This form was already submitted with other values.")
            return str(record.response["message"])
        with session_lock(Namespace.STAFF_ACTION, f"subject:{subject}", timeout=WAIT_SECONDS) as is_next:
            if not is_next:
                raise ActionInProgress
            with transaction.atomic() if atomic else nullcontext():
                message = work()
                response = {"message": message}
                IdempotencyRecord.objects.create(owner=owner, key=key, fingerprint=fingerprint, status=200, response=response)
        return message
