"""Limits on invitations: the confirmed address, seats, and the number of emails."""

from datetime import timedelta

import pytest
import time_machine

from accounts.manager import AuthManager
from accounts.models import Invitation
from accounts.types import SeatLimit
from contextmcp.common.clock import now
from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.support.api import problem

URL = "/api/organization/invitations"


@pytest.fixture(autouse=True)
def _seats_enough(settings):
    settings.SEAT_LIMIT = "tests.support.seats.unlimited"


@pytest.fixture
def invited(acme, admin, mailoutbox):
    """Return an invitation of Grace as a member."""
    return AuthManager(acme).invite(admin.caller, "Grace@new.example", "member")


def _seats(organization):
    return SeatLimit("team_members", 3)


class TestWhoMayMail:
    def test_inviting_requires_a_confirmed_address(self, api, owner):
        owner.user.emailaddress_set.update(verified=False)
        for by in (owner, None):
            api.client.force_login(owner.user)
            assert problem(api.post(URL, {"email": "new@new.example"}, by=by)) == (403, "email_not_confirmed")
        assert not Invitation.objects.exists()

    def test_open_invitations_count_as_seats(self, api, owner, admin, settings, invited):
        settings.SEAT_LIMIT = f"{__name__}._seats"
        refusal = api.post(URL, {"email": "new@new.example"}, by=admin)
        assert (problem(refusal), refusal.json()["used"]) == ((429, "limit_reached"), 3)
        # It already occupies a seat.
        assert api.post(f"{URL}/{invited.pk}/resend", by=admin).status_code == 200
        assert api.delete(f"{URL}/{invited.pk}", by=admin).status_code == 204
        assert api.post(URL, {"email": "new@new.example"}, by=admin).status_code == 201

    def test_a_resent_expired_invitation_needs_a_seat(self, api, admin, owner, settings, invited):
        settings.SEAT_LIMIT = f"{__name__}._seats"
        Invitation.objects.update(expires_at=now())
        assert api.post(URL, {"email": "new@new.example"}, by=admin).status_code == 201
        assert problem(api.post(f"{URL}/{invited.pk}/resend", by=admin)) == (429, "limit_reached")

    def test_emails_to_one_recipient_are_limited_per_day(self, api, admin, invited, settings, mailoutbox):
        settings.INVITATIONS_PER_RECIPIENT_PER_DAY = 2
        url = f"{URL}/{invited.pk}"
        assert api.post(f"{url}/resend", by=admin).status_code == 200
        refusal = api.post(f"{url}/resend", by=admin)
        assert problem(refusal) == (429, "rate_limited")
        assert 86_000 < int(refusal["Retry-After"]) <= 86_400
        # Revoking and inviting again does not bypass the limit.
        assert api.delete(url, by=admin).status_code == 204
        assert problem(api.post(URL, {"email": "GRACE@new.example"}, by=admin)) == (429, "rate_limited")
        assert len(mailoutbox) == 2
        with time_machine.travel(now() + timedelta(days=1, minutes=1)):
            assert api.post(URL, {"email": "grace@new.example"}, by=admin).status_code == 201

    def test_the_recipients_limit_applies_across_organizations(self, db, api, settings):
        settings.INVITATIONS_PER_RECIPIENT_PER_DAY = 1
        owners = [Person(OrganizationFactory().memberships.select_related("organization", "user").get()) for _ in range(4)]
        answers = [api.post(URL, {"email": "grace@new.example"}, by=each).status_code for each in owners]
        assert answers == [201, 201, 201, 429]

    @pytest.mark.parametrize("window", ["HOUR", "DAY"])
    def test_organizations_and_members_have_invitation_limits(self, api, acme, owner, admin, settings, window):
        setattr(settings, f"INVITATIONS_PER_{window}", 2)
        for number, by in enumerate((owner, admin)):
            assert api.post(URL, {"email": f"{number}@new.example"}, by=by).status_code == 201
        refusal = api.post(URL, {"email": "new@new.example"}, by=owner)
        assert (problem(refusal), refusal.json()["limit"]) == ((429, "rate_limited"), 2)

    def test_a_members_limit_applies_across_organizations(self, db, api, settings):
        settings.INVITATIONS_PER_HOUR = 2
        user, answers = UserFactory(), []
        for number in range(3):
            person = Person(OrganizationFactory(owner=user).memberships.select_related("organization", "user").get())
            answers.append(api.post(URL, {"email": f"{number}@new.example"}, by=person).status_code)
        assert answers == [201, 201, 429]
