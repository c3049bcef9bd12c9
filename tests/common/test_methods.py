"""A 405 response names the methods that the path accepts, and no others."""

import pytest
from django.test import Client

from tests.contract.document import operations
from tests.support.api import problem

ALL = {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
TAKEN = {}
for _operation in operations():
    TAKEN.setdefault(_operation.path, set()).add(_operation.method)


def allowed(methods):
    return methods | ({"HEAD"} if "GET" in methods else set())


@pytest.mark.parametrize("path", TAKEN)
def test_methods_of_documented_urls(api, owner, path):
    address = path.replace("{feature}", "projects")
    while "{" in address:
        address = address[: address.index("{")] + "019a0000-0000-7000-8000-000000000000" + address[address.index("}") + 1 :]
    browser = Client()
    browser.force_login(owner.user)
    for method in ALL - TAKEN[path]:
        answer = api.request(method, address, by=owner)
        if answer.status_code != 405:
            # Only sessions may use it.
            assert answer.status_code in {401, 403}, (method, answer.text)
            answer = browser.generic(method, address)
        assert problem(answer) == (405, "method_not_allowed"), method
        assert set(answer["Allow"].split(", ")) == allowed(TAKEN[path]), method


@pytest.mark.parametrize(
    ("path", "used"),
    [("/api/billing/webhooks/stripe", {"POST"}), ("/api/schema", {"GET"}), ("/api/docs", {"GET"})],
    ids=["stripe", "schema", "docs"],
)
def test_methods_of_undocumented_urls(client, db, path, used):
    for method in ALL - used:
        answer = client.generic(method, path)
        assert answer.status_code == 405, method
        assert set(answer["Allow"].split(", ")) == allowed(used), method
