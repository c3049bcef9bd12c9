"""The examples of docs/gateway.md as files, and the processes that run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from contextmcp.devstack.services import REPOSITORY
from tests.support.gates import free_port

DOCUMENT = REPOSITORY / "docs" / "gateway.md"
README = REPOSITORY / "packages" / "contextmcp-sdk" / "README.md"


def code_block(section: str, language: str, document: Path = DOCUMENT) -> str:
    """Return the first code block of that language in a section of the document."""
    text = document.read_text()
    content = re.split(r"^## ", text.split(f"\n## {section}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    found = re.search(rf"^```{language}\n(.*?)^```$", content, re.MULTILINE | re.DOTALL)
    assert found, f"{section} has no {language}"
    return found[1]


@contextmanager
def example_server(section: str, folder: Path, url: str, vendor_key: str) -> Iterator[str]:
    """Run the Python server of a section as a vendor would, and yield its MCP URL."""
    (folder / "pricing.toml").write_text(code_block("FastMCP without a proxy", "toml"))
    (folder / "server.py").write_text(code_block(section, "python"))
    port = free_port()
    environment = {"CONTEXTMCP_URL": url, "CONTEXTMCP_API_KEY": vendor_key, "PORT": str(port)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "server.py"], cwd=folder, env={**os.environ, **environment}, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            address = f"http://127.0.0.1:{port}/mcp"
            while process.poll() is None:
                try:
                    httpx.get(address)
                    break
                except httpx.TransportError:
                    continue
            assert process.poll() is None, (folder / "log").read_text()
            yield address
        finally:
            process.terminate()
            process.wait(20)
