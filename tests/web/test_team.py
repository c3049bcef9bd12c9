"""The team page, and invitations from the email to membership."""

import re
from datetime import timedelta

import pytest
from django.core import mail
from django.urls import reverse

from accounts.models import Invitation, Membership
from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from tests.factories.accounts import PASSWORD, UserFactory
from tests.support.api import problem


@pytest.fixture
def on_pro(acme):
    EntitlementsManager(acme).grant("pro", reason="Room for a team")


def invited(owner, sign_in, django_capture_on_commit_callbacks, email="grace@acme.example", role="member"):
    """Create an invitation on the page and return the token from its email."""
    with django_capture_on_commit_callbacks(execute=True):
        page = sign_in(owner).post(reverse("invite"), {"email": email, "role": role}, follow=True).text
    assert f"Invitation sent to {email}" in page
    return re.search(r"/invitations/([^/\s]+)/", mail.outbox[-1].body)[1]


@pytest.fixture
def token(owner, on_pro, sign_in, django_capture_on_commit_callbacks):
    return invited(owner, sign_in, django_capture_on_commit_callbacks)


class TestInviting:
    def test_an_invitation_is_listed_resent_and_revoked(self, owner, token, sign_in):
        client, invitation = sign_in(owner), Invitation.objects.get()
        assert "grace@acme.example" in client.get(reverse("team")).text
        assert "Invitation resent" in client.post(reverse("resend-invitation-form", args=[invitation.pk]), follow=True).text
        assert client.get(reverse("invitation", args=[token])).status_code == 404
        assert "Invitation revoked" in client.post(reverse("revoke-invitation-form", args=[invitation.pk]), follow=True).text
        assert "grace@acme.example" not in client.get(reverse("team")).text

    @pytest.mark.parametrize(
        "wrong",
        [
            {},
            {"email": "no", "role": "member"},
            {"email": "a@b.example", "role": "king"},
            {"email": "owner@acme.example", "role": "member"},
        ],
    )
    def test_invalid_input_is_reported(self, owner, sign_in, wrong):
        client = sign_in(owner)
        assert client.post(reverse("invite"), wrong).url == reverse("team")
        assert "note error" in client.get(reverse("team")).text
        assert not Invitation.objects.exists()

    def test_an_admin_cannot_invite_owners(self, admin, sign_in):
        sign_in(admin).post(reverse("invite"), {"email": "a@b.example", "role": "owner"})
        assert not Invitation.objects.exists()

    @pytest.mark.parametrize("who", ["member", "viewer", "anonymous"])
    def test_other_roles_cannot_invite(self, people, sign_in, who):
        sign_in(people[who]).post(reverse("invite"), {"email": "a@b.example", "role": "member"})
        assert not Invitation.objects.exists()
        if who != "anonymous":
            assert "Invite member" not in sign_in(people[who]).get(reverse("team")).text

    def test_another_organizations_invitation_is_not_found(self, stranger, token, sign_in):
        for name in ("resend-invitation-form", "revoke-invitation-form"):
            assert sign_in(stranger).post(reverse(name, args=[Invitation.objects.get().pk])).status_code == 404


class TestMembers:
    def test_leaving_is_offered_unless_last_owner(self, owner, member, acme, sign_in):
        assert "Leave organization" in sign_in(member).get(reverse("team")).text
        assert "Leave organization" not in sign_in(owner).get(reverse("team")).text
        Membership.objects.filter(pk=member.membership.pk).update(role="owner")
        assert "Leave organization" in sign_in(owner).get(reverse("team")).text

    def test_a_role_is_changed(self, owner, member, sign_in):
        page = sign_in(owner).post(reverse("change-role-form", args=[member.membership.pk]), {"role": "admin"}, follow=True).text
        assert "now has the role “Admin”" in page
        assert member.caller.role == "admin"

    def test_an_owner_transfers_the_ownership(self, acme, owner, admin, member, sign_in):
        form = {"member": str(member.membership.pk)}
        assert "Transfer ownership" not in sign_in(admin).get(reverse("team")).text
        sign_in(admin).post(reverse("transfer-ownership"), form)
        assert (owner.caller.role, member.caller.role) == ("owner", "member")
        client = sign_in(owner)
        assert client.post(reverse("transfer-ownership"), {"member": ""}).url == reverse("team")
        page = client.post(reverse("transfer-ownership"), form, follow=True).text
        assert "now owns Acme. You are an admin." in page
        assert (owner.caller.role, member.caller.role) == ("admin", "owner")
        assert sorted(email.to[0] for email in mail.outbox) == [member.user.email]

    def test_seats_that_are_left_are_shown_before_inviting(self, owner, on_pro, token, sign_in):
        page = sign_in(owner).get(reverse("team")).text
        assert "1 of 10 seats used · 1 open invitation" in page and "8 seats left." in page
        assert "Viewers see usage, activity and members, and change nothing." in page

    @pytest.mark.parametrize("who", ["member", "viewer", "stranger", "anonymous"])
    def test_other_roles_change_and_remove_no_members(self, people, sign_in, who):
        admin, client = people["admin"], sign_in(people[who])
        client.post(reverse("change-role-form", args=[admin.membership.pk]), {"role": "viewer"})
        client.post(reverse("remove-member-form", args=[admin.membership.pk]))
        assert admin.caller.role == "admin"

    def test_the_last_owner_cannot_be_removed(self, owner, sign_in):
        client = sign_in(owner)
        assert client.post(reverse("remove-member-form", args=[owner.membership.pk])).url == reverse("team")
        assert "must have an owner" in client.get(reverse("team")).text

    def test_a_member_is_removed_or_leaves(self, owner, member, viewer, sign_in):
        assert (
            "Member removed. Their API keys no longer work."
            in sign_in(owner).post(reverse("remove-member-form", args=[viewer.membership.pk]), follow=True).text
        )
        assert sign_in(member).post(reverse("remove-member-form", args=[member.membership.pk])).url == "/"
        assert Membership.objects.count() == 1

    def test_the_page_shows_that_all_seats_are_in_use(self, owner, sign_in):
        page = sign_in(owner).get(reverse("team")).text
        assert "1 of 1 seat used<" in page
        assert "View plans with more seats" in page
        EntitlementsManager(owner.organization).grant("enterprise", reason="x")
        assert "1 member, unlimited seats" in sign_in(owner).get(reverse("team")).text


class TestAccepting:
    def test_a_new_user_signs_up_and_joins(self, acme, token, client):
        page = client.get(reverse("invitation", args=[token])).text
        assert "Join Acme" in page
        assert "Olga Owner invited grace@acme.example" in page
        assert f"{reverse('account_signup')}?email=grace%40acme.example" in page
        form = client.get(f"{reverse('account_signup')}?email=grace%40acme.example").text
        assert 'value="grace@acme.example"' in form
        assert "Your company or team" not in form
        arrived = client.post(reverse("account_signup"), {"email": "grace@acme.example", "password1": PASSWORD})
        assert arrived.url == reverse("invitation", args=[token])
        assert client.post(reverse("accept-invitation-form", args=[token])).url == "/"
        assert "<h1>Acme</h1>" in client.get(reverse("account")).text
        assert client.get("/").url in ("/welcome/", "/account/")
        assert acme.memberships.get(user__email="grace@acme.example").role == "member"

    def test_an_existing_user_signs_in_and_joins(self, acme, token, client):
        UserFactory(email="grace@acme.example", password=PASSWORD)
        client.get(reverse("invitation", args=[token]))
        arrived = client.post(reverse("account_login"), {"login": "grace@acme.example", "password": PASSWORD})
        assert arrived.url == reverse("invitation", args=[token])

    def test_accepting_requires_sign_in(self, token, client):
        address = reverse("accept-invitation-form", args=[token])
        assert client.post(address).url == reverse("invitation", args=[token])
        assert client.get(address).url == reverse("invitation", args=[token])

    def test_wrong_address_gets_its_own_error(self, stranger, token, sign_in):
        client = sign_in(stranger)
        assert "Sign in as grace@acme.example" in client.get(reverse("invitation", args=[token])).text
        assert client.post(reverse("accept-invitation-form", args=[token])).url == reverse("invitation", args=[token])
        assert "was sent to grace@acme.example" in client.get(reverse("invitation", args=[token])).text

    def test_an_invitation_link_works_once(self, token, sign_in):
        client = sign_in(UserFactory(email="grace@acme.example"))
        client.post(reverse("accept-invitation-form", args=[token]))
        # Who joined with it is led to the organization; others are told that it was used.
        assert client.post(reverse("accept-invitation-form", args=[token])).url == reverse("account")
        assert "You are already a member of Acme" in client.get(reverse("invitation", args=[token]), follow=True).text
        other = sign_in(UserFactory(email="someone@else.example"))
        page = other.get(reverse("invitation", args=[token]))
        assert (page.status_code, "This invitation was already used" in page.text) == (404, True)
        assert other.post(reverse("accept-invitation-form", args=[token])).status_code == 404

    def test_old_key_gets_its_own_error(self, token, client):
        Invitation.objects.update(expires_at=now() - timedelta(minutes=1))
        page = client.get(reverse("invitation", args=[token]))
        assert page.status_code == 409
        assert "has expired" in page.text
        assert client.get(reverse("invitation", args=["nonsense"])).status_code == 404

    def test_without_a_free_seat_the_invitation_stays_open(self, owner, sign_in, django_capture_on_commit_callbacks, settings):
        settings.SEAT_LIMIT = "tests.support.seats.unlimited"
        token = invited(owner, sign_in, django_capture_on_commit_callbacks)
        client = sign_in(UserFactory(email="grace@acme.example"))
        assert client.post(reverse("accept-invitation-form", args=[token])).url == reverse("invitation", args=[token])
        assert "All seats of Acme are in use" in client.get(reverse("invitation", args=[token])).text
        EntitlementsManager(owner.organization).grant("pro", reason="x")
        assert client.post(reverse("accept-invitation-form", args=[token])).url == "/"


class TestAcceptingOverHttp:
    """Return the URL of POST /api/invitations/accept."""

    def post(self, client, body, **headers):
        return client.post("/api/invitations/accept", body, content_type="application/json", headers=headers)

    def test_the_invited_user_joins_once(self, acme, token, sign_in):
        client = sign_in(UserFactory(email="grace@acme.example"))
        first = self.post(client, {"token": token})
        assert first.status_code == 201
        assert first.json()["organizationId"] == str(acme.pk)
        assert (first.json()["organization"], first.json()["role"]) == ("Acme", "member")
        again = self.post(client, {"token": token}, **{"Idempotency-Key": "other"})
        assert problem(again) == (404, "invitation_used")

    def test_a_repeated_request_gets_the_first_response(self, token, sign_in):
        client = sign_in(UserFactory(email="grace@acme.example"))
        first = self.post(client, {"token": token}, **{"Idempotency-Key": "k"})
        again = self.post(client, {"token": token}, **{"Idempotency-Key": "k"})
        assert (again.status_code, again.json()) == (201, first.json())

    def test_key_gets_its_own_error_where_a_person_is_required(self, owner, token, client):
        answer = self.post(client, {"token": token}, Authorization=f"Bearer {owner.key}")
        assert problem(answer) == (401, "credentials_missing")
        assert "An API key cannot" in answer.json()["detail"]

    @pytest.mark.parametrize("who", ["owner", "admin", "member", "viewer", "stranger"])
    def test_other_users_cannot_accept(self, people, token, sign_in, who):
        assert problem(self.post(sign_in(people[who]), {"token": token})) == (403, "permission_denied")

    def test_anonymous_callers_and_keys_cannot_accept(self, owner, token, client, api):
        assert problem(self.post(client, {"token": token})) == (401, "credentials_missing")
        assert problem(api.post("/api/invitations/accept", {"token": token}, by=owner))[0] == 401

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({}, 422),
            ({"token": 7, "x": 1}, 422),
            ({"token": ""}, 422),
            ({"token": "x" * 300}, 422),
            ({"token": ["a"]}, 422),
            ("{", 400),
            ({"token": "gone"}, 404),
        ],
    )
    def test_invalid_input_is_reported(self, owner, sign_in, body, status):
        assert problem(self.post(sign_in(owner), body))[0] == status

    def test_without_a_free_seat_accepting_is_refused(self, owner, sign_in, django_capture_on_commit_callbacks, settings):
        settings.SEAT_LIMIT = "tests.support.seats.unlimited"
        token = invited(owner, sign_in, django_capture_on_commit_callbacks)
        answer = self.post(sign_in(UserFactory(email="grace@acme.example")), {"token": token})
        assert problem(answer) == (429, "limit_reached")
        assert (answer.json()["limit"], answer.json()["used"]) == (1, 1)
