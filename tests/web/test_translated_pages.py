"""No page has a text that is not translated: with a translation that marks each text, only data is outside of the marks."""

import re
from datetime import timedelta

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.urls import reverse

from accounts.manager import AuthManager
from accounts.models import User
from tests.factories.accounts import PASSWORD
from tests.factories.billing import Payer
from tests.factories.oauth import connect_app
from tests.support import pseudo_translation
from tests.web.test_every_page import START, STATES, Visitor

pytestmark = pytest.mark.django_db
# Names of things and people, and of products, which have no translation.
DATA = (
    "ContextMCP", "Acme", "Owner Olga", "Olga Owner", "Grace Hopper", "Second", "Laptop", "CI", "Rotated", "Claude Code", "Claude Desktop",
    "Claude", "Cursor", "VS Code", "ChatGPT", "Pro", "Free", "Enterprise", "API", "OpenAPI", "Visa", "Test app", "PDF",
    "CSV", "MCP", "ID", "User",
)  # fmt: skip
PATTERNS = re.compile(
    r"https?://[^\s⟧<>\"']+|[\w.+-]+@[\w.-]+|cmcp_sk_\w+…?|\b[0-9a-f]{8}-[0-9a-f-]{27}\b|[A-Z0-9]{8}-\d{4}|\b[a-z]+_[a-z_]+\b|mcp\.json|claude_desktop_config"
    # Lines of invoices, which Stripe writes.
    r"|\(at \S+ / (?:month|year)\)|(?:Unused|Remaining) time on [^<]+"
)
PERSONAL = [
    "profile", "account_email", "account_change_password", "mfa_index", "mfa_activate_totp", "mfa_generate_recovery_codes",
    "mfa_list_webauthn", "mfa_add_webauthn", "usersessions_list",
]  # fmt: skip
ENTRANCE = ["pricing", "account_login", "account_signup", "account_reset_password", "account_reset_password_done"]


@pytest.fixture(autouse=True)
def marked(monkeypatch):
    pseudo_translation.install(monkeypatch)


def check(pages):
    """Fail with one line for each page with such texts."""
    lines = []
    for address, html in pages.items():
        words = pseudo_translation.untranslated_html(PATTERNS.sub(" ", html), DATA)
        if words:
            lines.append(f"{address}: {' '.join(words)}")
    assert not lines, "\n" + "\n".join(lines)


def in_german(client):
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "de"
    return client


@pytest.mark.parametrize("state", ["past due", "overage", "scheduled", "free"])
def test_the_pages_of_an_organization(stripe_world, acme, owner, member, sign_in, state):
    STATES[state](Payer.make(stripe_world, acme))
    manager = AuthManager(acme)
    key, _ = manager.generate_key(owner.caller, "Laptop")
    manager.rotate_key(owner.caller, key.pk, timedelta(hours=3))
    manager.generate_key(member.caller, "CI")
    connect_app(member.membership)
    visitor = Visitor(in_german(sign_in(owner)))
    visitor.walk(*map(reverse, START))
    check(visitor.seen)


def test_the_pages_of_a_user(owner, sign_in):
    client = in_german(sign_in(owner))
    pages = {name: client.get(reverse(name)).text for name in PERSONAL}
    TOTP.activate(owner.user, generate_totp_secret())
    RecoveryCodes.activate(owner.user)
    pages |= {f"{name} with a second factor": client.get(reverse(name)).text for name in ["mfa_index", "mfa_view_recovery_codes"]}
    check(pages)


def test_the_pages_of_visitors(client, owner):
    in_german(client)
    pages = {name: client.get(reverse(name)).text for name in ENTRANCE}
    wrong = {"email": "x", "password1": "1", "organization": ""}
    pages["refused sign-up"] = client.post(reverse("account_signup"), wrong).text
    pages["refused sign-in"] = client.post(reverse("account_login"), {"login": owner.user.email, "password": "wrong"}).text
    pages["signed up"] = client.post(
        reverse("account_signup"), {"email": "ada@new.example", "password1": PASSWORD, "organization": "Second"}, follow=True
    ).text
    pages["wrong link"] = client.get("/accounts/confirm-email/nonsense/").text
    pages["wrong reset link"] = client.get("/accounts/password/reset/key/x-set-password/").text
    pages["missing"] = client.get("/missing/").text
    pages["wrong method"] = client.post(reverse("pricing")).text
    pages["wrong invitation"] = client.get(reverse("invitation", args=["nonsense"])).text
    check(pages)
    assert User.objects.filter(email="ada@new.example").exists()


def test_refusals_and_results(owner, member, sign_in):
    client = in_german(sign_in(owner))
    posts = {
        "invite": {"email": "no address", "role": "king"},
        "create-key": {"name": "", "access": "custom"},
        "change-settings": {"name": "", "email": "x"},
        "transfer-ownership": {"member": ""},
    }
    pages = {name: client.post(reverse(name), values, follow=True).text for name, values in posts.items()}
    key, _ = AuthManager(owner.organization).generate_key(owner.caller, "Laptop")
    pages["revoked"] = client.post(reverse("revoke-key-form", args=[key.pk]), follow=True).text
    pages["rotated"] = client.post(reverse("rotate-key-form", args=[key.pk]), {"overlap": "0"}, follow=True).text
    role = reverse("change-role-form", args=[member.membership.pk])
    pages["role"] = client.post(role, {"role": "viewer"}, follow=True).text
    pages["last owner"] = client.post(reverse("remove-member-form", args=[owner.membership.pk]), follow=True).text
    pages["forbidden"] = in_german(sign_in(member)).get(reverse("billing")).text
    check(pages)
