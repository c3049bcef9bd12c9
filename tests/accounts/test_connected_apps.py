"""The page of connected apps, staff who end one, and what is deleted."""

from datetime import timedelta

import pytest
from allauth.idp.oidc.models import Client as OAuthClient
from django.urls import reverse

from accounts.models import AuditEvent, OAuthGrant, OAuthToken
from accounts.oauth import grants, maintenance
from accounts.oauth.errors import AppDisconnected
from contextmcp.common.clock import now
from tests.factories.oauth import connect_app
from tests.support.oauth import App, browser_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def app(member):
    return App(browser_of(member))


def test_members_see_and_disconnect_their_apps_and_admins_those_of_all(app, member, admin, stranger):
    tokens = app.connect()
    grant = OAuthGrant.objects.get()
    mine = app.browser.get(reverse("connected-apps")).content.decode()
    assert "Test app" in mine and "connected by you" in mine and "Calls count against the plan" in mine
    assert member.user.get_full_name() in browser_of(admin).get(reverse("connected-apps")).content.decode()
    outsider = browser_of(stranger)
    assert "Test app" not in outsider.get(reverse("connected-apps")).content.decode()
    path = reverse("disconnect-app-form", args=[grant.pk])
    assert outsider.post(path).status_code == 404
    browser_of(admin).post(path)
    assert grants.find_access_token(tokens["access_token"]) is None
    assert AuditEvent.objects.get(action="app.disconnected").actor_user == admin.user
    assert "Test app" not in app.browser.get(reverse("connected-apps")).content.decode()


def test_staff_disconnect_an_app_once_with_a_reason(member, admin):
    grant, access = connect_app(member.membership)
    grants.disconnect_by_staff(grant, admin.user, "Reported as fraud")
    assert grants.find_access_token(access) is None
    event = AuditEvent.objects.get(action="app.disconnected")
    assert (event.actor_user, event.reason, event.before["user"]) == (admin.user, "Reported as fraud", member.user.email)
    with pytest.raises(AppDisconnected):
        grants.disconnect_by_staff(grant, admin.user, "Again")


def test_unused_grants_tokens_and_clients_are_deleted(app):
    tokens = app.connect()
    app.consent()
    OAuthGrant.objects.filter(redeemed_at=None).update(created_at=now() - timedelta(days=1))
    unused = App()
    OAuthClient.objects.update(created_at=now() - timedelta(days=60))
    maintenance.purge()
    assert OAuthGrant.objects.count() == 1 and not OAuthClient.objects.filter(pk=unused.id).exists()
    assert app.refresh(tokens["refresh_token"]).status_code == 200
    OAuthToken.objects.update(expires_at=now() - timedelta(days=1))
    maintenance.purge()
    assert not OAuthGrant.objects.exists()
