"""Run the generic tests again in a process with another catalog."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from contextmcp.devstack.services import REPOSITORY
from tests.support.stacks import PASSED_ON

EXAMPLES = sorted((REPOSITORY / "examples" / "catalogs").glob("*.toml"))
MARK = "any_catalog"


def marked() -> list[str]:
    """The modules with the mark. Collecting the other modules would take longer than running these."""
    paths = [path for path in sorted((REPOSITORY / "tests").rglob("test_*.py")) if f"mark.{MARK}" in path.read_text()]
    return [str(path.relative_to(REPOSITORY)) for path in paths if path != Path(__file__)]


@pytest.mark.parametrize("catalog", EXAMPLES, ids=lambda path: path.stem)
def test_the_generic_tests_pass_with_another_catalog(catalog):
    environment = {name: os.environ[name] for name in (*PASSED_ON, "CONTEXTMCP_HOME", "CONTEXTMCP_KEEP_SERVICES") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "ignore", "-p", "no:cacheprovider", "-m", MARK, *marked()],
        env={**environment, "CATALOG_FILE": str(catalog)},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
