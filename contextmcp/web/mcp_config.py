"""Configuration of MCP clients: what to paste, run or click in each of them.

Sources: code.claude.com/docs/en/mcp, modelcontextprotocol.io (Claude Desktop), cursor.com/docs/context/mcp,
code.visualstudio.com/docs/copilot/reference/mcp-configuration, help.openai.com (connectors of ChatGPT).
"""

import base64
import json
import shlex
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.utils.text import slugify
from django.utils.translation import gettext as _

PLACEHOLDER = "YOUR_API_KEY"


@dataclass(frozen=True)
class Setup:
    """One way to connect a client. `link` opens an installed client; `code` is pasted. `id` is unique on the page."""

    id: str
    title: str
    text: str
    label: str = ""
    code: str = ""
    link: str = ""
    link_text: str = ""


@dataclass(frozen=True)
class McpClient:
    id: str
    title: str
    setups: tuple[Setup, ...]


def server_name() -> str:
    """Return the name of the server in configurations."""
    return slugify(settings.PRODUCT_NAME) or "server"


def client_configuration(key: str = PLACEHOLDER) -> str:
    """Return the JSON configuration of this server that most MCP clients read."""
    return _json({"mcpServers": {server_name(): {"type": "http", **_remote(key)}}})


def curl_example(key: str = PLACEHOLDER) -> str:
    """Return a curl command that tests the key."""
    return f'curl {settings.PUBLIC_URL}/api/auth/whoami \\\n  -H "Authorization: Bearer {key}"'


def clients(key: str = PLACEHOLDER) -> list[McpClient]:
    """Return the clients in the order of their tabs, each with the ways to connect it that this deployment supports."""
    found = [_claude_code(key), _claude_desktop(key), _cursor(key), _vs_code(key), _chatgpt()]
    return [client for client in found if client.setups]


def _json(value: Any) -> str:
    return json.dumps(value, indent=2)


def _remote(key: str | None) -> dict[str, Any]:
    """Return the address of the server, with the header that contains the key. Without a key, the client signs the user in."""
    return {"url": settings.MCP_SERVER_URL, **({"headers": {"Authorization": f"Bearer {key}"}} if key else {})}


def _stdio(key: str) -> dict[str, Any]:
    command, *arguments = settings.MCP_STDIO_COMMAND
    environment = {"CONTEXTMCP_URL": settings.PUBLIC_URL, "CONTEXTMCP_API_KEY": key}
    return {"command": command, "args": arguments, "env": environment}


def _setups(*setups: Setup | None) -> tuple[Setup, ...]:
    return tuple(setup for setup in setups if setup)


def _with_sign_in(setup: Setup) -> Setup | None:
    return setup if settings.OAUTH_ENABLED else None


def _claude_code(key: str) -> McpClient:
    name, url = server_name(), settings.MCP_SERVER_URL
    command = f"claude mcp add --transport http {name} {url}"
    return McpClient(
        "claude-code",
        "Claude Code",
        _setups(
            Setup(
                "claude-code-key",
                _("With the API key"),
                _("Run this command in a terminal. Add --scope user to use the server in all projects."),
                _("In a terminal"),
                f'{command} \\\n  --header "Authorization: Bearer {key}"',
            ),
            _with_sign_in(
                Setup(
                    "claude-code-oauth",
                    _("With sign-in, without a key"),
                    _("Run this command in a terminal. Then enter /mcp in Claude Code and choose to authenticate."),
                    _("In a terminal"),
                    command,
                )
            ),
            _local_command("claude-code", f"claude mcp add {name}", key),
        ),
    )


def _local_command(client: str, command: str, key: str) -> Setup | None:
    if not settings.MCP_STDIO_COMMAND:
        return None
    environment = f"--env CONTEXTMCP_URL={settings.PUBLIC_URL} --env CONTEXTMCP_API_KEY={key}"
    local = shlex.join(settings.MCP_STDIO_COMMAND)
    return Setup(f"{client}-stdio", *_local_texts(_("In a terminal")), f"{command} \\\n  {environment} \\\n  -- {local}")


def _local_configuration(client: str, key: str, root: str = "mcpServers") -> Setup | None:
    if not settings.MCP_STDIO_COMMAND:
        return None
    code = _json({root: {server_name(): _stdio(key)}})
    return Setup(f"{client}-stdio", *_local_texts(_("MCP client configuration")), code)


def _local_texts(label: str) -> tuple[str, str, str]:
    text = _("The server runs on your computer. Install it first; calls count against your plan like those of the remote server.")
    return _("Local server (stdio)"), text, label


def _claude_desktop(key: str) -> McpClient:
    bridge = {"command": "npx", "args": ["-y", "mcp-remote", settings.MCP_SERVER_URL, "--header", f"Authorization: Bearer {key}"]}
    return McpClient(
        "claude-desktop",
        "Claude Desktop",
        _setups(
            _with_sign_in(
                Setup(
                    "claude-desktop-oauth",
                    _("With sign-in, without a key"),
                    _(
                        "Open Settings, then Connectors. Choose “Add custom connector” and enter this address. "
                        "Claude opens this site to sign in."
                    ),
                    _("Address of the server"),
                    settings.MCP_SERVER_URL,
                )
            ),
            Setup(
                "claude-desktop-key",
                _("With the API key"),
                _(
                    "Open Settings, then Developer, and choose “Edit Config”. Add this to claude_desktop_config.json and restart "
                    "Claude. It needs Node.js."
                ),
                "claude_desktop_config.json",
                _json({"mcpServers": {server_name(): bridge}}),
            ),
            _local_configuration("claude-desktop", key),
        ),
    )


def _cursor(key: str) -> McpClient:
    packed = base64.b64encode(json.dumps(_remote(key)).encode()).decode()
    link = f"cursor://anysphere.cursor-deeplink/mcp/install?name={quote(server_name())}&config={quote(packed)}"
    return McpClient(
        "cursor",
        "Cursor",
        _setups(
            Setup(
                "cursor-key",
                _("With the API key"),
                _("Click the button, or add this to .cursor/mcp.json in your project or your home folder."),
                "mcp.json",
                _json({"mcpServers": {server_name(): _remote(key)}}),
                link,
                _("Add to Cursor"),
            ),
            _with_sign_in(
                Setup(
                    "cursor-oauth",
                    _("With sign-in, without a key"),
                    _("Add this to mcp.json. Cursor then shows a button to sign in."),
                    "mcp.json",
                    _json({"mcpServers": {server_name(): _remote(None)}}),
                )
            ),
            _local_configuration("cursor", key),
        ),
    )


def _vs_code(key: str) -> McpClient:
    name = server_name()
    server = {"type": "http", **_remote(key)}
    return McpClient(
        "vs-code",
        "VS Code",
        _setups(
            Setup(
                "vs-code-key",
                _("With the API key"),
                _("Click the button, or add this to .vscode/mcp.json in your project."),
                "mcp.json",
                _json({"servers": {name: server}}),
                f"vscode:mcp/install?{quote(json.dumps({'name': name, **server}))}",
                _("Add to VS Code"),
            ),
            _with_sign_in(
                Setup(
                    "vs-code-oauth",
                    _("With sign-in, without a key"),
                    _("Add this to .vscode/mcp.json. VS Code opens this site to sign in when it starts the server."),
                    "mcp.json",
                    _json({"servers": {name: {"type": "http", **_remote(None)}}}),
                )
            ),
            _local_configuration("vs-code", key, "servers"),
        ),
    )


def _chatgpt() -> McpClient:
    return McpClient(
        "chatgpt",
        "ChatGPT",
        _setups(
            _with_sign_in(
                Setup(
                    "chatgpt-oauth",
                    _("With sign-in, without a key"),
                    _(
                        "Open Settings, then Apps & Connectors, and turn on developer mode under Advanced settings. Choose “Create”, "
                        "enter this address and choose OAuth. ChatGPT opens this site to sign in."
                    ),
                    _("Address of the server"),
                    settings.MCP_SERVER_URL,
                )
            )
        ),
    )
