"""Errors: one code per reason, one status per code, and a page for browsers."""

import ast

import pytest

import accounts.errors
import billing.errors
import contextmcp.web.errors
import entitlements.errors
import usage.errors
from billing import customer_locks
from billing.inbound import view
from contextmcp.common import errors, problems
from contextmcp.devstack.services import REPOSITORY

MODULES = [accounts.errors, billing.errors, contextmcp.web.errors, entitlements.errors, usage.errors, customer_locks, view]
PRODUCT = ["accounts", "billing", "contextmcp", "entitlements", "usage"]


def refusals(base=errors.DomainError):
    for each in base.__subclasses__():
        if not each.__module__.startswith("contextmcp.devstack"):
            yield each
            yield from refusals(each)


def test_a_code_has_one_status():
    assert MODULES
    statuses = {}
    for each in [each for each in refusals() if each.code != errors.DomainError.code]:
        statuses.setdefault(each.code, set()).add(each.status)
    assert {code: result for code, result in statuses.items() if len(result) > 1} == {}


def test_each_conflict_has_a_code_of_its_own():
    codes = [each.code for each in refusals(errors.Conflict)]
    assert len(set(codes)) == len(codes) and errors.Conflict.code not in codes


def test_no_conflict_is_raised_without_a_reason():
    matches = []
    for package in PRODUCT:
        for path in (REPOSITORY / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                raised = node.exc if isinstance(node, ast.Raise) else node.value if isinstance(node, ast.Return) else None
                called = raised.func if isinstance(raised, ast.Call) else raised
                if getattr(called, "id", getattr(called, "attr", "")) == "Conflict":
                    matches.append(f"{path.relative_to(REPOSITORY)}:{node.lineno}")
    assert matches == []


@pytest.mark.parametrize("refusal", [errors.RequestTimeout, errors.PayloadTooLarge, errors.Overloaded, errors.UnreadableRequest])
@pytest.mark.parametrize(
    ("path", "accept", "is_page"), [("/account/", "text/html", True), ("/account/", "", False), ("/api/x", "text/html", False)]
)
def test_early_refusals_are_pages_if_html_is_preferred(refusal, path, accept, is_page):
    answer = problems.before_django(refusal(), path, accept, "reference-1")
    assert answer.status_code == refusal.status
    assert answer["Content-Type"] == ("text/html; charset=utf-8" if is_page else problems.CONTENT_TYPE)
    assert ("reference-1" in answer.text) is is_page
    assert (answer["X-Request-Id"], answer["Cache-Control"]) == ("reference-1", "private, no-store")
    assert answer.has_header("Retry-After") is (refusal is errors.Overloaded)
