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


def test_templates_are_searched_for_words(tmp_path):
    path = tmp_path / "templates" / "web" / "example.html"
    path.parent.mkdir(parents=True)
    path.write_text("<p>All catalogs.</p>\n<p>Nobody.</p>\n")
    assert findings(tmp_path) == ["templates/web/example.html:2 Nobody"]
