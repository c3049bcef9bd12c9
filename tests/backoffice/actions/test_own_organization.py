"""Staff cannot give anything to an organization that they are a member of. Each attempt is recorded."""

import pytest

from accounts.models import AuditEvent, Membership
from contextmcp.backoffice.actions.registry import ACTIONS
from entitlements.manager import EntitlementsManager
from entitlements.models import Grant, Override
from tests.factories.accounts import OrganizationFactory

pytestmark = pytest.mark.django_db
REFUSAL = "You are a member of this organization"
BENEFICIAL = [action for action in ACTIONS.values() if action.beneficial]


@pytest.fixture
def colleague(staff_with, acme):
    """A member of staff with all permissions of actions, who belongs to the organization."""
    staff = staff_with(*sorted({action.permission for action in ACTIONS.values()}), "entitlements.view_grant", "entitlements.view_override")
    Membership.objects.create(organization=acme, user=staff.user, role="viewer")
    return staff


def refused(user):
    return list(AuditEvent.objects.filter(action="staff.refused", actor_user=user).values_list("after__action", flat=True))


def test_actions_that_give_something_are_refused_and_recorded(colleague, acme):
    for action in BENEFICIAL:
        for answer in (colleague.open(acme, action.name), colleague.confirm(acme, action.name, {"confirmed": "1", "reason": "x"})):
            assert answer.status_code == 403, action.name
            assert REFUSAL in answer.text
    assert set(refused(colleague.user)) == {action.name for action in BENEFICIAL}
    assert len(BENEFICIAL) == 11


def test_other_actions_and_other_organizations_are_not_refused(colleague, acme):
    assert colleague.open(acme, "revoke-all-keys").status_code == 200
    assert REFUSAL not in colleague.open(OrganizationFactory(), "grant-plan").text


def test_the_menu_says_why(colleague, acme):
    assert REFUSAL in colleague.client.get(f"/admin/organizations/{acme.pk}/actions/").text


def test_an_owner_of_the_admin_may(colleague, acme):
    colleague.user.is_superuser = True
    colleague.user.save()
    assert colleague.open(acme, "grant-plan").status_code == 200
    assert refused(colleague.user) == []


def test_the_forms_of_the_admin_refuse_too(colleague, acme):
    version = EntitlementsManager.version("pro")
    grant = {"organization": acme.pk, "plan_version": version.pk, "source": "gift", "reason": "x"}
    override = {"organization": acme.pk, "feature": "sessions", "value": "9", "reason": "x"}
    for url, form in (("/admin/entitlements/grant/add/", grant), ("/admin/entitlements/override/add/", override)):
        assert REFUSAL in colleague.client.post(url, form, follow=True).text, url
    assert refused(colleague.user) == ["form", "form"]
    assert not Grant.objects.filter(organization=acme, source="gift").exists()
    assert not Override.objects.exists()
