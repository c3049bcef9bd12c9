"""What to paste into an MCP client."""

import json

from django.conf import settings

PLACEHOLDER = "YOUR_API_KEY"


def configuration(key: str = PLACEHOLDER) -> str:
    """The server's entry in the JSON that MCP clients read."""
    server = {"type": "http", "url": settings.MCP_SERVER_URL, "headers": {"Authorization": f"Bearer {key}"}}
    return json.dumps({"mcpServers": {"contextmcp": server}}, indent=2)


def curl(key: str = PLACEHOLDER) -> str:
    """A first call, to see that the key works."""
    return f'curl {settings.PUBLIC_URL}/api/auth/whoami \\\n  -H "Authorization: Bearer {key}"'
