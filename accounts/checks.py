"""Django system checks of the accounts app."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register


@register(Tags.security, deploy=True)
def oauth_is_configured(**_: Any) -> list[CheckMessage]:
    """Warn a production deployment that MCP clients cannot sign their users in."""
    if settings.OAUTH_ENABLED:
        return []
    message = "OAUTH_PRIVATE_KEY is not set: MCP clients that cannot be given an API key, such as AI assistants on the web, cannot connect."
    return [Warning(message, hint="Enter an RSA private key (.env.example says how to create one).", id="accounts.W001")]
