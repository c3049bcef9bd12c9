"""The timeline of an organization in the admin."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import audit
from accounts.models import User
from contextmcp.backoffice.roles import ROLES
from contextmcp.common.clock import now
from tests.backoffice.test_admin_walk import client_of
from tests.factories.accounts import UserFactory
from tests.web.activity.rows import fill, insert_key
from usage.models import RefusalSummary

pytestmark = pytest.mark.django_db
MAX_QUERIES = 30


@pytest.fixture
def operator(sign_in):
    return sign_in(User.objects.create_superuser("owner@staff.example", "x", name="Olaf"))


def page_of(organization):
    return reverse("backoffice:timeline", args=[organization.pk])


@pytest.mark.parametrize("who", ["anonymous", "customer", "no_permissions", "view_only", *ROLES, "owner"])
def test_the_page_requires_the_permission_to_view_the_audit_log(acme, owner, who):
    expected = {"anonymous": 302, "customer": 302, "no_permissions": 403}.get(who, 200)
    assert client_of(who, owner).get(page_of(acme)).status_code == expected


def test_other_permissions_do_not_open_it(acme, sign_in):
    user = UserFactory(is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_organization"))
    assert sign_in(user).get(page_of(acme)).status_code == 403


def test_staff_read_internal_entries_reasons_and_origins(acme, operator):
    staff = User.objects.get(email="owner@staff.example")
    audit.record("billing.synced", organization=acme, actor=staff, after={"differences": ["x"]}, reason="ticket 7")
    text = operator.get(page_of(acme)).text
    assert "Olaf (owner) synced the billing data from Stripe: 1 difference found: “ticket 7”" in text
    assert 'href="/admin/accounts/auditevent/' in text


def test_the_filters_are_applied_and_kept_on_the_next_page(acme, owner, member, operator):
    fill(acme, owner.user, 60)
    key = insert_key(acme, owner.user, "CI")
    audit.record("key.revoked", organization=acme, actor=member.caller, target=key.pk, before={"name": "CI"})
    first = operator.get(page_of(acme), {"kind": "key", "member": owner.user.email.upper()})
    assert {entry.actor for entry in first.context["entries"]} == {"Olga Owner"}
    second = operator.get(f"{page_of(acme)}?{first.context['older']}")
    assert len(second.context["entries"]) == 10
    found = operator.get(page_of(acme), {"key": str(key.pk)}).context["entries"]
    assert [entry.sentence for entry in found] == [f"{member.user.name} revoked the API key CI."]


@pytest.mark.parametrize(("query", "error"), [("member=unknown@x.example", "No user has this address"), ("key=x", "Enter a valid UUID")])
def test_a_filter_without_a_match_shows_an_error(acme, operator, query, error):
    assert error in operator.get(f"{page_of(acme)}?{query}").text


def test_an_invalid_position_shows_the_first_page_and_an_error(acme, operator):
    page = operator.get(page_of(acme), {"before": "nonsense"})
    assert "The position in the list is not valid" in page.text
    assert page.context["entries"]


def test_a_refusal_links_to_its_minutes_in_the_record(acme, operator):
    minute = now().replace(second=0, microsecond=0)
    rows = [RefusalSummary(organization=acme, minute=minute - timedelta(days=days), code="quota_exceeded", count=1) for days in (0, 1)]
    RefusalSummary.objects.bulk_create(rows)
    entry = operator.get(page_of(acme), {"kind": "refusal"}).context["entries"][0]
    assert [row.minute for row in operator.get(entry.link).context["cl"].result_list] == [minute]


def test_the_number_of_queries(acme, owner, operator):
    fill(acme, owner.user, 100)
    operator.get(page_of(acme))
    with CaptureQueriesContext(connection) as requested:
        operator.get(page_of(acme))
    assert len(requested) <= MAX_QUERIES, [each["sql"] for each in requested]


def test_an_unknown_organization_is_not_found(operator):
    assert operator.get(reverse("backoffice:timeline", args=[uuid4()])).status_code == 404
