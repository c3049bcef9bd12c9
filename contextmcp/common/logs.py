"""Structured logs: JSON in production, readable lines locally. API keys and Stripe secrets are masked wherever they turn up."""

import logging
import re
import sys
from typing import Any

import structlog

_SECRET = re.compile(r"(cmcp_sk_(?:live|test)_|sk_(?:live|test)_|rk_(?:live|test)_|whsec_)[A-Za-z0-9]{6,}")


def mask(text: str) -> str:
    """The text with every secret in it cut to its prefix."""
    return _SECRET.sub(r"\1***", text)


def _mask_event(_logger: Any, _method: str, event: Any) -> Any:
    return {key: mask(value) if isinstance(value, str) else value for key, value in event.items()}


def configure(options: dict[str, Any]) -> None:
    """Called by Django with `settings.LOGGING`: `{"level": ..., "json": ...}`."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _mask_event,
    ]
    renderer: Any = structlog.processors.JSONRenderer() if options["json"] else structlog.dev.ConsoleRenderer(colors=False)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
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
