"""Exports of lists as CSV."""

import csv
import io

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils.html import format_html

from accounts.models import AuditEvent, SavedView, User
from billing.models import Adjustment
from contextmcp.backoffice.lists import export as exports
from contextmcp.backoffice.roles import ROLES
from contextmcp.common.clock import now
from tests.backoffice.test_reauthentication import signed_in
from tests.factories.accounts import PASSWORD, OrganizationFactory, UserFactory

pytestmark = pytest.mark.django_db
ORGANIZATIONS = "/admin/accounts/organization/export/"
ADJUSTMENTS = "/admin/billing/adjustment/export/"


@pytest.fixture
def owner_client(sign_in):
    return sign_in(User.objects.create_superuser("owner@staff.example", "x"))


def rows(answer):
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))


def test_an_export_has_the_columns_and_filters_of_the_list(owner_client, monkeypatch):
    monkeypatch.setattr(exports, "BATCH", 2)
    for number in range(5):
        OrganizationFactory(name=f"Company {number}", slug=f"company-{number}")
    OrganizationFactory(name="Other", closed_at=now())
    answer = owner_client.post(f"{ORGANIZATIONS}?q=company&closed_at__isempty=1&after=ignored")
    assert 'filename="accounts-organization-' in answer["Content-Disposition"]
    header, *lines = rows(answer)
    assert header == ["name", "slug", "email", "created at", "closed at", "clock"]
    assert [line[0] for line in lines] == [f"Company {number}" for number in (4, 3, 2, 1, 0)]
    assert lines[0][1] == "company-4"
    assert lines[0][3].endswith("+00:00")
    assert lines[0][4:] == ["", "real time"]


def test_an_export_is_audited_with_its_rows(owner_client, acme):
    rows(owner_client.post(f"{ORGANIZATIONS}?q={acme.slug}", headers={"X-Request-ID": "request-of-export"}))
    event = AuditEvent.objects.get(action="list.exported")
    assert (event.target, event.actor_user.email) == ("accounts.organization", "owner@staff.example")
    assert event.after == {"query": f"q={acme.slug}", "rows": 1, "complete": True}
    assert event.ip_address == "127.0.0.1"
    assert event.request_id == "request-of-export"


def test_an_interrupted_export_is_audited(owner_client, acme):
    answer = owner_client.post(ORGANIZATIONS)
    next(iter(answer.streaming_content))
    answer._iterator.close()
    assert AuditEvent.objects.get(action="list.exported").after["complete"] is False


@pytest.mark.parametrize("role", [*ROLES, "owner", "no_permissions"])
def test_an_export_requires_its_permission(role, owner):
    user = UserFactory(email=f"{role}@staff.example", is_staff=True, is_superuser=role == "owner")
    if role in ROLES:
        user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    allowed = [client.post(url).status_code == 200 for url in (ORGANIZATIONS, ADJUSTMENTS)]
    assert allowed == {"finance": [False, True], "engineer": [True, True], "owner": [True, True]}.get(role, [False, False])
    if role != "no_permissions":
        page = client.get("/admin/billing/adjustment/").text
        assert ("Export as CSV" in page) == allowed[1]
    assert client.get(ADJUSTMENTS).status_code == 405


def test_own_views_of_others_are_not_exported(owner_client):
    SavedView.objects.create(owner=UserFactory(), model="billing.invoice", name="private", query="q=x")
    assert len(rows(owner_client.post("/admin/accounts/savedview/export/"))) == 1


def test_an_invalid_filter_exports_nothing(owner_client):
    assert owner_client.post(f"{ADJUSTMENTS}?created_at__gte=x").status_code == 302
    assert not AuditEvent.objects.filter(action="list.exported").exists()


def test_amounts_and_formulas_are_safe_in_a_spreadsheet(owner_client, acme):
    acme.name = '=HYPERLINK("https://evil.example","Refund")'
    acme.save()
    details = {"kind": "refund", "status": "succeeded", "currency": "usd", "created_at": now()}
    Adjustment.objects.create(organization=acme, stripe_id="re_1", amount=-400, **details)
    line = rows(owner_client.post(ADJUSTMENTS))[1]
    assert line[0] == "re_1"
    assert line[2].startswith("'=HYPERLINK")
    assert line[5] == "-$4.00"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=1+1", "'=1+1"),
        ("+49 30", "'+49 30"),
        ("-1+cmd", "'-1+cmd"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("-$4.00", "-$4.00"),
        (-4, "-4"),
        (True, "true"),
        (None, ""),
        (["a", "b"], "a, b"),
        (format_html("<b>{}</b>", "A & B"), "A & B"),
        (format_html("<b>{}</b>", "=1"), "'=1"),
    ],
)
def test_cells_are_escaped(value, text):
    assert exports.cell(value) == text


def test_an_export_requires_a_recent_authentication_and_continues_after_it(acme):
    user = UserFactory(email="engineer@staff.example", is_staff=True, password=PASSWORD)
    user.groups.add(Group.objects.get(name="engineer"))
    client = signed_in(Client(), user, 16)
    answer = client.post(f"{ORGANIZATIONS}?q={acme.slug}")
    assert answer.url == "/accounts/reauthenticate/?next=%2Fadmin%2Fcontinue%2F"
    assert not AuditEvent.objects.filter(action="list.exported").exists()
    client.post(answer.url, {"password": PASSWORD, "next": "/admin/continue/"})
    assert f'action="{ORGANIZATIONS}?q={acme.slug}"' in client.get("/admin/continue/").text
    assert len(rows(client.post(f"{ORGANIZATIONS}?q={acme.slug}"))) == 2
