"""Saved views of lists, own and shared."""

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from accounts.models import AuditEvent, SavedView, User
from contextmcp.backoffice.lists.saved_views import clean_query
from tests.factories.accounts import UserFactory

pytestmark = pytest.mark.django_db
LIST = "/admin/accounts/organization/"
QUERY = "closed_at__isempty=1&q=acme"


def client_of(name, role):
    user = UserFactory(email=f"{name}@staff.example", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def support():
    return client_of("support", "support")


def save(client, name="Open ones", query=QUERY, **form):
    return client.post(f"{LIST}views/?{query}", {"name": name, **form}, follow=True)


def names(client):
    return [each["view"].name for each in client.get(LIST).context["tools"]["views"]]


def test_a_view_is_saved_opened_and_deleted(support):
    assert "The view “Open ones” was saved." in save(support).text
    page = support.get(f"{LIST}?{QUERY}")
    assert page.context["tools"]["current"]["view"].name == "Open ones"
    assert 'aria-current="page" href="?closed_at__isempty=1&amp;q=acme"' in page.text
    view = SavedView.objects.get()
    assert "was deleted" in support.post(f"/admin/views/{view.pk}/delete/", follow=True).text
    assert names(support) == []


def test_the_same_name_replaces_the_view(support):
    save(support)
    save(support, query="q=other")
    assert SavedView.objects.get().query == "q=other"


def test_others_see_shared_views_only(support):
    other = client_of("finance", "finance")
    save(support, "Mine")
    save(support, "Ours", shared="1")
    assert names(support) == ["Mine", "Ours"]
    assert names(other) == ["Ours"]
    page = other.get("/admin/accounts/savedview/")
    assert [row.name for row in page.context["cl"].result_list] == ["Ours"]
    event = AuditEvent.objects.get(action="saved_view.shared")
    assert (event.actor_user.email, event.target) == ("support@staff.example", "accounts.organization: Ours")


def test_sharing_requires_its_permission():
    viewer = client_of("viewer", "viewer")
    assert "Share with all staff" not in viewer.get(f"{LIST}?{QUERY}").text
    assert save(viewer, shared="1").status_code == 403
    assert AuditEvent.objects.get(action="staff.refused").target == f"POST {LIST}views/"
    assert not SavedView.objects.exists()
    assert save(viewer).status_code == 200
    assert SavedView.objects.get().shared is False
    for role in ("support", "finance", "engineer"):
        assert "Share with all staff" in client_of(role, role).get(f"{LIST}?q=a").text, role


def test_only_its_owner_and_owners_of_the_admin_delete_a_view(support, sign_in):
    save(support, shared="1")
    view = SavedView.objects.get()
    assert client_of("finance", "finance").post(f"/admin/views/{view.pk}/delete/").status_code == 404
    assert SavedView.objects.exists()
    owner = sign_in(User.objects.create_superuser("owner@staff.example", "x"))
    assert owner.post(f"/admin/views/{view.pk}/delete/").status_code == 302
    assert not SavedView.objects.exists()
    assert AuditEvent.objects.get(action="saved_view.deleted").actor_user.email == "owner@staff.example"


@pytest.mark.parametrize(("name", "query"), [("", QUERY), ("x" * 61, QUERY), ("x", ""), ("x", "after=abc"), ("x", f"q={'a' * 2001}")])
def test_a_view_needs_a_name_and_a_selection(support, name, query):
    save(support, name, query)
    assert not SavedView.objects.exists()


def test_a_view_contains_no_position_and_no_secret():
    secret = "A" * 32
    text = f"?q=cmcp_sk_test_PublicId1234{secret}CRC123&after=x&before=y&o=3&_popup=1&state=open&empty="
    assert clean_query(text) == "q=PublicId1234&state=open"


def test_staff_save_views_only_of_lists_that_they_may_view(owner):
    unprivileged = Client()
    unprivileged.force_login(UserFactory(email="no_permissions@staff.example", is_staff=True))
    assert save(unprivileged).status_code == 403
    customer = Client()
    customer.force_login(owner.user)
    assert customer.post(f"{LIST}views/", {"name": "x"}).status_code == 302
    assert client_of("support", "support").post("/admin/no/thing/views/", {"name": "x"}).status_code == 404
    assert not SavedView.objects.exists()
