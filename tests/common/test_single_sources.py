"""What the product does in one place is done in no other: mail, psycopg cursors, admin classes and descriptions of API methods."""

import re

import pytest

from contextmcp.devstack.services import REPOSITORY

APPS = ("accounts", "billing", "contextmcp", "entitlements", "usage")
# The development stack and its mail server are not part of the product.
MODULES = {
    str(path.relative_to(REPOSITORY)): path.read_text(encoding="utf-8")
    for app in APPS
    for path in (REPOSITORY / app).rglob("*.py")
    if "devstack" not in path.parts
}


@pytest.mark.parametrize(
    ("pattern", "modules"),
    [
        (r"\bEmail(Message|MultiAlternatives)\(|import send_mail\b", {"contextmcp/common/emails.py", "contextmcp/common/delivery.py"}),
        (r"\bpsycopg\.(Raw)?Cursor\(", {"contextmcp/common/db.py"}),
        (r"from unfold.admin import .*\bModelAdmin\b", {"contextmcp/common/admin_base.py"}),
        (r"\bisinstance\(request\.user, User\)\n    return", {"accounts/authentication.py"}),
    ],
)
def test_each_pattern_occurs_only_in_its_modules(pattern: str, modules: set[str]):
    assert {name for name, text in MODULES.items() if re.search(pattern, text)} == modules


def test_api_methods_of_most_apps_are_described_by_the_endpoint_decorator():
    described = {name for name, text in MODULES.items() if "@extend_schema(" in text}
    # Views without a caller, of a user without an organization, with caching headers, or of the route table of usage.
    others = {"entitlements/api/views.py", "contextmcp/web/api/views.py"}
    assert {name for name in described if not name.startswith("usage/api/")} == others
