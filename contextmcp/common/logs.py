"""Structured logs: JSON in production, readable lines locally. API keys and Stripe secrets are masked wherever they turn up."""

import logging
import re
import sys
from typing import Any

import structlog

_SECRET = re.compile(
    r"(cmcp_(?:sk|svc)_(?:(?:live|test)_)?|[sr]k_(?:live|test)_|whsec_|(?:pi|seti)_[A-Za-z0-9]+_secret_)[A-Za-z0-9_]{6,}"
    # Links in mails: an invitation, a new password, the confirmation of an address. The path segment or value after them is the secret.
    r"|(/invitations/|/accounts/password/reset/key/|/accounts/confirm-email/|(?:[?&]|\b)(?:api_key|token|client_secret|password)=)[^\s/&\"'<>]{6,}"
)


def mask(text: str) -> str:
    """Return the text with every secret in it cut to its prefix."""
    return _SECRET.sub(lambda match: f"{match[1] or match[2]}***", text)


class _Masked:
    """Masks the rendered line: whatever object a secret came in (a request, an exception, a list), it is text by then."""

    def __init__(self, renderer: Any) -> None:
        self._renderer = renderer

    def __call__(self, logger: Any, method: str, event: Any) -> str:
        return mask(str(self._renderer(logger, method, event)))


def configure(options: dict[str, Any]) -> None:
    """Called by Django with `settings.LOGGING`: `{"level": ..., "json": ...}`."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Any = structlog.processors.JSONRenderer() if options["json"] else structlog.dev.ConsoleRenderer(colors=False)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _Masked(renderer)],
        )
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(options["level"])
    logging.getLogger("stripe").setLevel(logging.WARNING)
    # At INFO an idle worker writes three lines every three seconds, and every command some thirty before its own.
    if options["level"] == "INFO":
        logging.getLogger("procrastinate").setLevel(logging.WARNING)
