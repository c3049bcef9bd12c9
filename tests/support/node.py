"""Node and the npm packages of `tests/gateway/node`, installed once into the local home.

Tests that use them are skipped where node or npm is missing, unless CONTEXTMCP_REQUIRE_NODE is set, which makes that a failure.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from contextmcp.devstack.services import REPOSITORY, default_home

MANIFEST = REPOSITORY / "tests/gateway/node"
FILES = ("package.json", "package-lock.json", ".npmrc")
# The conformance suite uses `globSync`, which is in Node since this version.
OLDEST_MAJOR = 22
INSTALL_SECONDS = 600


class NodeMissing(Exception):
    """Node or its packages cannot be used. The message says why."""


class Node:
    """Node and the folder with the packages' `node_modules`."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self.binary, self.folder = binary, folder

    def command(self, *words: str) -> list[str]:
        """Return the command line of a script of the packages, or of this repository by its absolute path."""
        return [str(self.binary), *words]

    @property
    def conformance(self) -> list[str]:
        """Return the command line of the conformance suite."""
        return self.command(str(self.folder / "node_modules/@modelcontextprotocol/conformance/dist/index.js"))


def require_node() -> Node:
    """Return Node with the packages. Without it, skip the test, or fail it where CONTEXTMCP_REQUIRE_NODE is set."""
    try:
        return install()
    except NodeMissing as error:
        if os.environ.get("CONTEXTMCP_REQUIRE_NODE"):
            pytest.fail(str(error))
        pytest.skip(str(error))


def install() -> Node:
    """Install the packages unless they are there. Several processes may ask at the same time.

    Raises:
        NodeMissing: npm is not on this machine, or could not install them.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NodeMissing("node and npm are not on this machine.")
    digest = hashlib.sha256(b"".join((MANIFEST / name).read_bytes() for name in FILES)).hexdigest()[:16]
    folder = default_home() / "node" / digest
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            for name in FILES:
                shutil.copy(MANIFEST / name, folder)
            try:
                done = subprocess.run([npm, "ci"], cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
            except subprocess.TimeoutExpired:
                raise NodeMissing(f"npm did not install the packages within {INSTALL_SECONDS} s.") from None
            if done.returncode:
                raise NodeMissing(f"npm could not install the packages: {done.stderr.strip()[-500:]}")
            (folder / "complete").touch()
    return Node(_binary(folder), folder)


def _binary(folder: Path) -> Path:
    candidates = [Path(shutil.which("node") or ""), *folder.glob("node_modules/node-linux-*/bin/node")]
    for candidate in candidates:
        version = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=True).stdout
        if int(version.removeprefix("v").partition(".")[0]) >= OLDEST_MAJOR:
            return candidate
    raise NodeMissing(f"Node {OLDEST_MAJOR} or newer is needed, and no package has it for this machine.")
