"""Structured logs: JSON in production, readable lines locally. API keys, Stripe secrets and links with tokens are masked."""

import logging
import re
import sys
from contextvars import ContextVar
from typing import Any

import structlog

# The current request and its caller. Their fields are added only when a log line is written.
request_id: ContextVar[str] = ContextVar("request_id", default="")
log_principal: ContextVar[Any] = ContextVar("log_principal", default=None)
_SECRET = re.compile(
    r"(cmcp_(?:sk|svc|at|rt|ac)_(?:(?:live|test)_)?|[sr]k_(?:live|test)_|whsec_|(?:pi|seti)_[A-Za-z0-9]+_secret_)[A-Za-z0-9_]{6,}"
    # Links in emails (invitation, password reset, address confirmation): the path segment or parameter value that follows is the secret.
    r"|(/invitations/|/accounts/password/reset/key/|/accounts/confirm-email/|/accounts/undo-email-change/|(?:[?&]|\b)(?:api_key|token|client_secret|password)=)[^\s/&\"'<>]{6,}"
)


def mask(text: str) -> str:
    """Return the text with each secret truncated to its prefix."""
    return _SECRET.sub(lambda match: f"{match[1] or match[2]}***", text)


class _Masked:
    """A processor that masks the rendered line. At that point secrets inside any object (request, exception, list) are text."""

    def __init__(self, renderer: Any) -> None:
        self._renderer = renderer

    def __call__(self, logger: Any, method: str, event: Any) -> str:
        return mask(str(self._renderer(logger, method, event)))


def add_request(logger: Any, method: str, event: Any) -> Any:
    """Add the IDs of the request, the key and the organization to a log line, unless it has them."""
    if identifier := request_id.get():
        event.setdefault("request_id", identifier)
    if principal := log_principal.get():
        organization_id = getattr(principal, "organization_id", None)
        event.setdefault("key" if organization_id else "service_key", str(principal.key_id))
        if organization_id:
            event.setdefault("organization", str(organization_id))
    return event


def configure(options: dict[str, Any]) -> None:
    """Configure logging. Django calls it with `settings.LOGGING`: `{"level": ..., "json": ...}`."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        add_request,
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
    # At INFO an idle procrastinate worker writes three lines every three seconds, and each management command about thirty lines.
    if options["level"] == "INFO":
        logging.getLogger("procrastinate").setLevel(logging.WARNING)
