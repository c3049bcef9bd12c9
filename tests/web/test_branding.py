"""The product's name, its support and its colors are settings."""

import pytest
from django.urls import reverse

from accounts.manager import AuthManager
from contextmcp.settings.admin import theme
from contextmcp.web.brand import text_color
from contextmcp.web.mcp_config import client_configuration

pytestmark = pytest.mark.django_db


@pytest.fixture
def branded(settings):
    settings.PRODUCT_NAME, settings.PRODUCT_TAGLINE = "Quill & Co", "Letters for everyone"
    settings.SUPPORT_EMAIL = "help@quill.example"
    settings.BRAND_COLOR, settings.BRAND_COLOR_DARK = "#7a1fa2", "#e1bee7"


def test_pages_have_the_name_the_tagline_and_the_support(branded, client):
    page = client.get(reverse("pricing")).text
    assert "<title>Pricing · Quill &amp; Co</title>" in page and "<h1>Letters for everyone</h1>" in page
    assert 'href="mailto:help@quill.example"' in page and f'href="{reverse("brand-css")}"' in page
    assert "ContextMCP" not in page


def test_colors_are_a_style_sheet_that_the_security_policy_allows(branded, client):
    answer = client.get(reverse("brand-css"))
    assert answer["Content-Type"] == "text/css; charset=utf-8"
    light, dark = answer.text.split("@media (prefers-color-scheme: dark)")
    assert "--accent: #7a1fa2;" in light and "--on-accent: #fff;" in light
    assert "--accent: #e1bee7;" in dark and "--on-accent: #000;" in dark


def test_without_a_color_there_is_no_brand_style_sheet(client):
    assert reverse("brand-css") not in client.get(reverse("pricing")).text
    assert client.get(reverse("brand-css")).text == ""


def test_emails_have_the_name_and_the_support(branded, settings, owner, mailoutbox, django_capture_on_commit_callbacks):
    settings.SEAT_LIMIT = "tests.support.seats.unlimited"
    with django_capture_on_commit_callbacks(execute=True):
        AuthManager(owner.organization).invite(owner.caller, "grace@new.example", "member")
    (email,) = mailoutbox
    assert email.subject.endswith("on Quill & Co") and "ContextMCP" not in email.body
    (html, _) = email.alternatives[0]
    assert "Quill &amp; Co" in html and "mailto:help@quill.example" in html and "background:#7a1fa2;color:#fff" in html


def test_a_client_configuration_names_the_server_after_the_product(branded):
    assert '"quill-co": {' in client_configuration()


@pytest.mark.parametrize(("color", "text"), [("#000000", "#fff"), ("#ffffff", "#000"), ("#0d6b5c", "#fff"), ("#5cc9b1", "#000")])
def test_text_on_a_color_is_legible(color, text):
    assert text_color(color) == text


def test_the_admin_has_the_name_and_shades_of_the_color():
    chosen = theme("Quill", "#7a1fa2")
    assert (chosen["SITE_TITLE"], chosen["COLORS"]["primary"]["600"]) == ("Quill", "122 31 162")
    assert theme("Quill", "")["COLORS"]["primary"]["600"] == "13 107 92"
