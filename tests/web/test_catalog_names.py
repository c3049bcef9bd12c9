"""No plan or feature name of the default catalog occurs in product code, so that it works with other catalogs."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from contextmcp.devstack.services import REPOSITORY
from entitlements.catalog_file import read_catalog

SHIPPED = read_catalog(REPOSITORY / "entitlements" / "catalog.toml")
NAMES = {plan.name for plan in SHIPPED.plans} | {feature.name for feature in SHIPPED.features}
TITLES = {plan.title for plan in SHIPPED.plans}
FOLDERS = ("accounts", "billing", "contextmcp", "entitlements", "usage")
# Words that mean something else, by file. A name that is one word is also a word.
OTHER_MEANINGS = {
    ("contextmcp/backoffice/search/billing.py", "sessions"): "Checkout sessions",
    ("contextmcp/backoffice/organization/panels/plan.py", "Free"): "the plan without a grant costs nothing",
    ("contextmcp/backoffice/plans/comparison.py", "Free"): "a plan without a price costs nothing",
    ("billing/sync/unlinked_purchases.py", "sessions"): "the Checkout sessions",
    ("contextmcp/settings/base.py", "sessions"): "the cache of sign-in sessions",
    ("contextmcp/settings/identity.py", "sessions"): "the cache of sign-in sessions",
    ("contextmcp/settings/test.py", "sessions"): "the cache of sign-in sessions",
    ("contextmcp/web/pages/sessions.py", "sessions"): "the page of sign-in sessions",
    ("contextmcp/web/personal_urls.py", "sessions"): "the page of sign-in sessions",
    ("contextmcp/devstack/mcp_upstream.py", "free"): "tools that cost nothing",
    ("contextmcp/gateway/pricing.py", "free"): "tools that cost nothing",
    ("entitlements/api/schemas.py", "free"): "the source of entitlements without a grant",
    ("entitlements/types.py", "free"): "the source of entitlements without a grant",
}
# Words that are fit for identifiers, such as `catalog.free`.
ADJECTIVES = {"free"}
# What follows "Free" where it does not mean the plan.
NOT_THE_PLAN = re.compile(r"Free (days|period|for|text|space)\b")


def python_files() -> list[Path]:
    paths = [path for folder in FOLDERS for path in sorted((REPOSITORY / folder).rglob("*.py"))]
    return [path for path in paths if "migrations" not in path.parts]


def templates() -> list[Path]:
    return [path for path in sorted((REPOSITORY / "templates").rglob("*")) if path.suffix in (".html", ".txt")]


def names_in_python(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Identifiers, attributes, keyword arguments and strings that are a name, or that quote one."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Name(id=word) | ast.Attribute(attr=word) | ast.arg(arg=word) | ast.FunctionDef(name=word) | ast.ClassDef(name=word):
                if word in NAMES - ADJECTIVES:
                    yield line, word
            case ast.keyword(arg=str(word)) if word in NAMES - ADJECTIVES:
                yield line, word
            case ast.Constant(value=str(text)):
                yield from ((line, word) for word in NAMES if text == word or re.search(_mention(word), text))
                yield from ((line, title) for title in TITLES if re.search(rf"\b{title}\b", NOT_THE_PLAN.sub("", text)))


def _mention(word: str) -> str:
    """A name of several words is recognized anywhere in a text, a name of one word only in quotation marks."""
    return rf"(?<![\w-])({re.escape(word)})(?![\w-])" if "_" in word else f"[\"'`]{re.escape(word)}[\"'`]"


def test_python_code_names_no_plan_and_no_feature():
    matches = [
        f"{name}:{line} {word}"
        for path in python_files()
        for name in [path.relative_to(REPOSITORY).as_posix()]
        for line, word in names_in_python(ast.parse(path.read_text()))
        if (name, word) not in OTHER_MEANINGS
    ]
    assert matches == [], matches


def test_templates_name_no_plan_and_no_feature():
    matches = []
    for path in templates():
        text = path.read_text()
        matches += [f"{path.name} {word}" for word in NAMES - ADJECTIVES if re.search(_mention(word), text)]
        matches += [f"{path.name} {title}" for title in TITLES if re.search(rf"\b{title}\b", NOT_THE_PLAN.sub("", text))]
    assert matches == [], matches


def test_every_exception_is_needed():
    for name, word in OTHER_MEANINGS:
        assert word in {result for _, result in names_in_python(ast.parse((REPOSITORY / name).read_text()))}, name
