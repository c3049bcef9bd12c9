"""The check for forbidden names and words. `make check` runs it on the product itself."""

import pytest

from contextmcp.devstack.wording import findings


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("class Desk: ...\n", ["accounts/example.py:1 Desk"]),
        ("\nMOST_KEYS = 3\n", ["accounts/example.py:2 MOST_KEYS"]),
        ('"""First.\n\nWhoever asks.\n"""\n', ["accounts/example.py:3 Whoever"]),
        ("x = 1  # counted afresh\n", ["accounts/example.py:1 afresh"]),
        ("desk = 'every catalog'\n", []),
    ],
)
def test_a_forbidden_name_or_word_is_reported_with_its_line(tmp_path, source, result):
    path = tmp_path / "accounts" / "example.py"
    path.parent.mkdir()
    path.write_text(source)
    assert findings(tmp_path) == result


@pytest.mark.parametrize("name", ["templates/web/example.html", "docs/example.md", "docs/adr/ADR-009-example.md", "README.md"])
def test_templates_and_documents_are_searched_for_words(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("All catalogs.\nNobody.\n")
    assert findings(tmp_path) == [f"{name}:2 Nobody"]
