"""A small MCP server with notes, as a vendor would write it: it knows nothing about customers' keys, plans or prices.

`make demo` and `make run` put it behind the gateway with the prices of `pricing.toml`. To start it alone:

    python examples/mcp_server/server.py --port 9000

Its notes are in memory. Behind the gateway each organization has notes of its own: with `--jwks`, the address of the gateway's public keys,
the server reads the organization from the signed assertion that the gateway sends. Alone, all callers share them.
"""

import argparse

import jwt
from fastmcp import FastMCP
from fastmcp.exceptions import ToolError
from fastmcp.server.dependencies import get_http_headers

ASSERTION = "x-contextmcp-assertion"
STARTER = {
    "deployment": "Deploy with `git push production`. Migrations run before the new processes start.",
    "style": "Use complete sentences in comments. Give a constraint and its reason.",
    "testing": "Each fix has a test that failed before it.",
}
server: FastMCP = FastMCP("Notes", instructions="Notes about a project. Start a session to get the notes on a topic.")


class Notebooks:
    """The notes of each organization, by title."""

    def __init__(self) -> None:
        self._notes: dict[str, dict[str, str]] = {}
        self._keys: jwt.PyJWKClient | None = None
        self._audience = ""

    def trust(self, jwks: str, audience: str) -> None:
        """Accept only calls with an assertion for `audience`, signed with a key of the set at the address `jwks`."""
        self._keys, self._audience = jwt.PyJWKClient(jwks), audience

    def of_caller(self) -> dict[str, str]:
        """Return the notes of the organization that is calling. Raises `ToolError` if the call did not come through the gateway."""
        return self._notes.setdefault(self._organization(), dict(STARTER))

    def _organization(self) -> str:
        if self._keys is None:
            return ""
        assertion = get_http_headers().get(ASSERTION, "")
        try:
            key = self._keys.get_signing_key_from_jwt(assertion)
            return str(jwt.decode(assertion, key, algorithms=["EdDSA"], audience=self._audience)["organization"])
        except jwt.PyJWTError as error:
            raise ToolError("This server answers calls of its gateway only.") from error


notebooks = Notebooks()


@server.tool
def list_notes() -> list[str]:
    """List the titles of all notes."""
    return sorted(notebooks.of_caller())


@server.tool
def add_note(title: str, text: str) -> str:
    """Add a note, or replace the note with this title."""
    notebooks.of_caller()[title] = text
    return f"The note {title!r} is saved."


@server.tool
def search_notes(query: str) -> dict[str, str]:
    """Return the notes whose title or text contains the query."""
    return {title: text for title, text in notebooks.of_caller().items() if query.lower() in f"{title} {text}".lower()}


@server.tool
def start_session(topic: str) -> str:
    """Start a working session: return the notes on a topic as context."""
    found = search_notes(topic)
    return "\n\n".join(f"# {title}\n{text}" for title, text in found.items()) or f"There are no notes on {topic!r} yet."


@server.tool
def import_notes(text: str) -> int:
    """Add one note for each line of the form "title: text", and return their number."""
    lines = [line.partition(":") for line in text.splitlines() if line.strip()]
    if wrong := [title for title, colon, _ in lines if not colon]:
        raise ToolError(f"These lines have no colon: {wrong}. Nothing was imported.")
    notebooks.of_caller().update({title.strip(): content.strip() for title, _, content in lines})
    return len(lines)


@server.tool
def share_note(title: str, person: str) -> str:
    """Share a note with a colleague."""
    if title not in notebooks.of_caller():
        raise ToolError(f"There is no note {title!r}.")
    return f"{person} can read {title!r}."


def main() -> None:
    """Serve Streamable HTTP at `/mcp`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--jwks", help="URL of the gateway's public keys: require its assertions")
    options = parser.parse_args()
    if options.jwks:
        notebooks.trust(options.jwks, f"http://{options.host}:{options.port}/mcp")
    server.run(transport="http", host=options.host, port=options.port, show_banner=False, log_level="WARNING")


if __name__ == "__main__":
    main()
