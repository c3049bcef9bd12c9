"""Every email is rendered in every language, with no text left in English."""

import re
from html import unescape

import pytest

from accounts import account_emails
from billing.notifications import content
from contextmcp.devstack.email_previews import previews
from tests.support import pseudo_translation

pytestmark = pytest.mark.django_db
# The sample data of the previews.
DATA = ("Acme", "ContextMCP", "Grace Hopper", "Olga Owner", "Firefox", "Windows", "Claude", "CI", "Visa", "Pro", "Free", "Enterprise")
ADDRESSES = re.compile(r"https?://[^\s⟧]+|[\w.+-]+(?:@|\u200b|\.)[\w@.\u200b-]+\.[a-z]+|cmcp_sk_\w+…|ACME-0007")


def test_every_email_has_a_preview_in_every_language():
    rendered = previews()
    names = {each.name for each in rendered}
    assert {f"billing.{kind}" for kind in content.RENDERERS} | {f"account.{name}" for name in account_emails.RENDERERS} <= names
    for name in names:
        subjects = {each.language: each.subject for each in rendered if each.name == name}
        assert list(subjects) == ["en", "de", "fr"]
        assert len(set(subjects.values())) == 3, subjects
    for each in rendered:
        assert f'<html lang="{each.language}">' in each.html
        # No placeholder was left over, and no value is missing.
        assert not re.search(r"%\(|\{\w+\}|None|  ", each.subject + each.text), each


def test_emails_contain_no_untranslated_text(monkeypatch):
    pseudo_translation.install(monkeypatch)
    found = {}
    for each in previews(("de",)):
        text = ADDRESSES.sub(" ", f"{each.subject}\n{each.text}")
        html = ADDRESSES.sub(" ", unescape(re.sub(r"<head>.*</head>", "", each.html, flags=re.DOTALL)))
        words = pseudo_translation.untranslated(text, DATA) + pseudo_translation.untranslated_html(html, DATA)
        if words:
            found[each.name] = words
    assert found == {}
