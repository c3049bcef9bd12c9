"""No secret reaches a log, whatever object it came in."""

import io
import json
import logging

import pytest
from django.test import RequestFactory

from contextmcp.common import logs

SECRETS = [
    "cmcp_sk_test_yuQvabcdefGHIJKL123",
    "cmcp_svc_live_yuQvabcdefGHIJKL123",
    "cmcp_svc_yuQvabcdefGHIJKL123",
    "sk_live_abcdefghijklmnop123456",
    "rk_test_abcdefghijklmnop123456",
    "whsec_abcdefghijklmnop123456",
    "pi_3Abc123_secret_abcdefghij123456",
    "seti_1Abc123_secret_abcdefghij123456",
]


@pytest.fixture(params=[True, False], ids=["json", "console"])
def line(request):
    """Log with the product's own configuration; return what was written."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure({"json": request.param, "level": "INFO"})
    stream = io.StringIO()
    root.handlers[0].setStream(stream)

    def write(*args, **kwargs):
        logging.getLogger("django.request").error(*args, **kwargs)
        text = stream.getvalue()
        if request.param:
            json.loads(text)
        return text

    yield write
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("secret", SECRETS)
def test_requests_arguments_and_exceptions_are_masked(line, secret):
    request = RequestFactory().get(f"/api/auth/keys/{secret}?api_key={secret}")
    try:
        raise ValueError({"key": [secret]})
    except ValueError as error:
        text = line("Not Found: %s %s", request.path, {"a": (secret,)}, exc_info=error, extra={"request": request, "values": [secret]})
    assert "***" in text and secret[-12:] not in text


@pytest.mark.parametrize(
    "path",
    [
        "/invitations/Zm9vYmFyYmF6cXV4/",
        "/accounts/password/reset/key/1-Zm9vYmFyYmF6cXV4/",
        "/accounts/confirm-email/Zm9vYmFyYmF6cXV4:1tx:abc/",
        "/api/x?api_key=Zm9vYmFyYmF6cXV4",
        "/status?token=Zm9vYmFyYmF6cXV4&a=b",
    ],
)
def test_tokens_in_addresses_are_masked(line, path):
    assert "Zm9vYmFyYmF6cXV4" not in line("Not Found: %s", path, extra={"request": RequestFactory().get(path)})
