"""The actions that pages of the back office offer beside what they concern."""

from datetime import timedelta

import pytest
from django.urls import reverse

from accounts.models import ApiKey, Invitation, User
from contextmcp.common.clock import now
from tests.factories.accounts import key_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(db):
    return User.objects.create_superuser("staff@example.com", "x")


@pytest.fixture
def key(owner):
    key_of(owner.membership, ["usage:read"], name="Production")
    return ApiKey.objects.get()


def test_the_page_of_a_row_offers_its_actions_with_a_confirmation(sign_in, root, key):
    staff = sign_in(root)
    page = staff.get(reverse("admin:accounts_apikey_change", args=[key.pk]))
    assert page.context["row_actions"] == [("revoke", "Revoke the key")]
    form = {"action": "revoke", "_selected_action": str(key.pk)}
    listing = page.context["list_url"]
    assert "This cannot be undone" in staff.post(listing, form).content.decode()
    key.refresh_from_db()
    assert key.revoked_at is None
    staff.post(listing, form | {"confirmed": "1", "reason": "Leaked"})
    key.refresh_from_db()
    assert key.revoked_at is not None


def test_the_page_of_a_row_offers_permitted_actions_only(sign_in, key):
    from django.contrib.auth.models import Group

    viewer = User.objects.create_user("viewer@staff.example", is_staff=True)
    viewer.groups.add(Group.objects.get(name="viewer"))
    page = sign_in(viewer).get(reverse("admin:accounts_apikey_change", args=[key.pk]))
    assert page.status_code == 200
    assert page.context["row_actions"] == []
    assert b'name="_selected_action"' not in page.content


def test_the_page_of_an_organization_links_actions_to_their_rows(sign_in, root, owner, acme):
    invitation = Invitation.objects.create(
        organization=acme, email="a@b.example", token_digest=b"1", expires_at=now() - timedelta(days=1), invited_by=owner.user
    )
    staff = sign_in(root)
    actions = f"/admin/organizations/{acme.pk}/actions"
    overview = staff.get(reverse("admin:accounts_organization_change", args=[acme.pk])).content.decode()
    assert f'{actions}/override-limit/?feature=sessions"' in overview
    access = staff.get(reverse("backoffice:organization-section", args=[acme.pk, "access"])).content.decode()
    assert f'{actions}/resend-invitation/?invitation={invitation.pk}"' in access
    assert f'{actions}/change-role/?member={owner.membership.pk}"' in access
    form = staff.get(f"{actions}/override-limit/", {"feature": "sessions"})
    assert form.context["form"]["feature"].value() == "sessions"
