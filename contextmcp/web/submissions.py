"""Process each submitted form once, and show a new secret (an API key) for a few minutes to the user who created it.

Each rendered form contains a random token. The first submission stores the URL of its result under a digest of the token and the values;
repeated submissions are redirected there. The text of a new secret is stored encrypted under the submission's secret, which only the
browser has, in a cookie. The database alone does not reveal the text. A second click or a reload shows it again, until `KEY_VISIBLE_FOR`
has passed or the user confirms that they copied it.
"""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.db import transaction
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import get_random_string

from contextmcp.common.encryption import fernet
from contextmcp.common.locks import Namespace, lock_in_transaction
from contextmcp.common.models import IdempotencyRecord

COOKIE = "new_key"
KEY_PAGE = "new-key"
KEY_VISIBLE_FOR = timedelta(minutes=10)
_PURPOSE = b"new API key on its page"
_TOKEN_LENGTH = 32


def new_token() -> str:
    return get_random_string(_TOKEN_LENGTH)


def submit_once(request: WSGIRequest, act: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    """Call `act`, or redirect to the result of the first submission of this form with these values. Errors are raised, not stored."""
    secret = _secret(request)
    with transaction.atomic():
        # A concurrent submission waits for the result of the first one.
        lock_in_transaction(Namespace.FORM_SUBMISSION, _digest(secret))
        record = _record(request, secret)
        if record is None:
            answer = act()
            # `show_key` may already have stored the row with the encrypted key.
            defaults = {"fingerprint": "", "status": 302, "response": {"location": answer["Location"]}}
            record, _ = IdempotencyRecord.objects.get_or_create(owner=_owner(request), key=_digest(secret), defaults=defaults)
    return _answer(record, secret)


def show_key(request: WSGIRequest, raw: str, *, page: str = KEY_PAGE, **shown: str) -> HttpResponseBase:
    """Store a new secret encrypted and redirect to its page, a URL name. `shown` has further values for that page."""
    secret = _secret(request)
    sealed = fernet(secret.encode(), _PURPOSE).encrypt(json.dumps({"raw": raw, **shown}).encode()).decode()
    response = {"location": reverse(page), "sealed": sealed}
    record = IdempotencyRecord.objects.create(owner=_owner(request), key=_digest(secret), fingerprint="", status=302, response=response)
    return _answer(record, secret)


def shown_key(request: WSGIRequest, page: str = KEY_PAGE) -> dict[str, str] | None:
    """Return the values that `show_key` stored for this browser, or None after `KEY_VISIBLE_FOR` or `delete_stored_key`."""
    secret = request.COOKIES.get(COOKIE, "")
    record = _record(request, secret)
    if record is None or "sealed" not in record.response or record.created_at < timezone.now() - KEY_VISIBLE_FOR:
        return None
    if record.response["location"] != reverse(page):
        return None
    try:
        values: dict[str, str] = json.loads(fernet(secret.encode(), _PURPOSE).decrypt(record.response["sealed"].encode()))
    except InvalidToken:
        return None
    return values


def delete_stored_key(request: WSGIRequest, answer: HttpResponseBase, *, page: str = KEY_PAGE, list_page: str = "keys") -> HttpResponseBase:
    """Delete the stored secret. A repeated submission is then redirected to `list_page`."""
    record = _record(request, request.COOKIES.get(COOKIE, ""))
    if record is not None:
        record.response = {"location": reverse(list_page)}
        record.save(update_fields=["response"])
    answer.delete_cookie(COOKIE, path=reverse(page), samesite="Lax")
    return answer


def _answer(record: IdempotencyRecord, secret: str) -> HttpResponseBase:
    answer = redirect(record.response["location"])
    if "sealed" in record.response:
        # The cookie is sent only to the page of the secret and is not readable by scripts.
        path, secure = record.response["location"], settings.SESSION_COOKIE_SECURE
        answer.set_cookie(COOKIE, secret, max_age=KEY_VISIBLE_FOR, path=path, secure=secure, httponly=True, samesite="Lax")
    return answer


def _secret(request: WSGIRequest) -> str:
    """Return the secret of this submission: the same for repeated submissions, and unguessable because of the form's token."""
    if not hasattr(request, "_submission_secret"):
        token = request.POST.get("form_token", "")
        if len(token) != _TOKEN_LENGTH:
            token = new_token()
        values = sorted((name, values) for name, values in request.POST.lists() if name != "csrfmiddlewaretoken")
        text = f"{token} {request.path} {json.dumps(values)}"
        request._submission_secret = hashlib.sha256(text.encode()).hexdigest()  # type: ignore[attr-defined]
    secret: str = request._submission_secret  # type: ignore[attr-defined]
    return secret


def _digest(secret: str) -> str:
    return "form:" + hashlib.sha256(secret.encode()).hexdigest()


def _owner(request: WSGIRequest) -> str:
    return f"user:{request.user.pk}"


def _record(request: WSGIRequest, secret: str) -> IdempotencyRecord | None:
    return IdempotencyRecord.objects.filter(owner=_owner(request), key=_digest(secret)).first()
