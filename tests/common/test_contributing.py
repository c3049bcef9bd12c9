"""CONTRIBUTING.md names files and directories that exist."""

import re
from pathlib import PurePosixPath

import pytest

from contextmcp.devstack.services import REPOSITORY

TEXT = (REPOSITORY / "CONTRIBUTING.md").read_text()
ROWS = re.findall(r"^\| (?!Where is|---)(.+) \| (.+) \|$", TEXT, re.MULTILINE)


def paths(cell):
    """Return the files and directories that a cell of the table names. A name without a folder is in that of the name before it."""
    folder = PurePosixPath()
    for name in re.findall(r"`([^`]+)`|\]\(([^)]+)\)", cell):
        path = PurePosixPath("".join(name))
        if path.suffix in (".py", ".toml", ".md", ".html") or "".join(name).endswith("/"):
            path = path if len(path.parts) > 1 or (REPOSITORY / path).exists() else folder / path
            folder = path if "".join(name).endswith("/") else path.parent
            yield path


@pytest.mark.parametrize(("question", "cell"), ROWS, ids=[row[0][:60] for row in ROWS])
def test_each_row_names_files_that_exist(question, cell):
    named = list(paths(cell))
    assert named and [str(path) for path in named if not (REPOSITORY / path).exists()] == []


def test_the_recipes_name_files_that_exist():
    recipes = TEXT.partition("## Recipes")[2]
    named = re.findall(r"`((?:accounts|billing|contextmcp|docs|entitlements|packages|templates|tests|usage)/[\w./-]+)`", recipes)
    assert named and [path for path in named if not (REPOSITORY / path).exists()] == []
