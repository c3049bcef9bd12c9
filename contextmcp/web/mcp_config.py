"""Configuration snippets for MCP clients."""

import json

from django.conf import settings
from django.utils.text import slugify

PLACEHOLDER = "YOUR_API_KEY"


def client_configuration(key: str = PLACEHOLDER) -> str:
    """Return the JSON configuration of this server for MCP clients."""
    server = {"type": "http", "url": settings.MCP_SERVER_URL, "headers": {"Authorization": f"Bearer {key}"}}
    return json.dumps({"mcpServers": {slugify(settings.PRODUCT_NAME) or "server": server}}, indent=2)


def curl_example(key: str = PLACEHOLDER) -> str:
    """Return a curl command that tests the key."""
    return f'curl {settings.PUBLIC_URL}/api/auth/whoami \\\n  -H "Authorization: Bearer {key}"'
