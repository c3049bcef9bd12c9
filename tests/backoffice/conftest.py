"""Fixtures: clients that behave like browsers, and Stripe's simulator."""

import logging

import pytest

from contextmcp.backoffice import navigation
from contextmcp.common import problems
from tests.support.stripe import published_catalog, stripe_configured, stripe_server, stripe_world
from tests.web.conftest import people, sign_in

__all__ = ["people", "published_catalog", "sign_in", "stripe_configured", "stripe_server", "stripe_world"]


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Omit what is equal on all pages and takes two thirds of the time of tests that open hundreds of them.

    These are the menu, the error page, the log of refused requests, and the copies of template contexts that Django's test client keeps.
    Other tests check the first three.
    """
    monkeypatch.setattr(navigation, "navigation", lambda request: [{"title": "", "items": []}])
    monkeypatch.setattr(problems, "_page", lambda request, error: problems.response(error))
    monkeypatch.setattr(logging.getLogger("django.request"), "disabled", True)
    monkeypatch.setattr("django.test.client.store_rendered_templates", lambda *arguments, **context: None)
