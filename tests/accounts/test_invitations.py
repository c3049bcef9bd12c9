"""Inviting by email, and accepting."""

import re
import threading
from datetime import timedelta

import pytest
from django.db import connection

from accounts.emails import send_invitation
from accounts.errors import InvitationExpired, InvitationNotFound, PermissionDenied, SeatLimitReached
from accounts.manager import AuthManager
from accounts.models import AuditEvent, Invitation, Membership, Organization
from accounts.services import invitations
from accounts.types import SeatLimit
from contextmcp.common import delivery
from contextmcp.common.clock import now
from contextmcp.common.errors import Conflict
from contextmcp.common.models import OutgoingEmail
from tests.factories.accounts import MembershipFactory, Person, UserFactory, key_of
from tests.support.api import problem

QUEUE = "contextmcp.common.emails.QueueBackend"
URL = "/api/organization/invitations"


def _token(email):
    return re.search(r"http://localhost:3001/invitations/([\w-]{43})/", email.body)[1]


@pytest.fixture(autouse=True)
def _seats_enough(settings):
    settings.SEAT_LIMIT = "tests.support.seats.unlimited"


@pytest.fixture
def grace(db):
    return UserFactory(email="grace@new.example")


@pytest.fixture
def invited(acme, admin, mailoutbox, django_capture_on_commit_callbacks):
    """Return an invitation of Grace as a member, and its token."""
    with django_capture_on_commit_callbacks(execute=True):
        invitation = AuthManager(acme).invite(admin.caller, "Grace@new.example", "member")
    return invitation, _token(mailoutbox[-1])


class TestInvite:
    @pytest.mark.django_db
    @pytest.mark.parametrize(("who", "status"), [("owner", 201), ("admin", 201), ("member", 403), ("viewer", 403)])
    def test_only_permitted_roles_can_do_it(self, api, request, who, status):
        person = request.getfixturevalue(who)
        assert api.post(URL, {"email": "new@new.example"}, by=person).status_code == status
        assert api.get(URL, by=person).status_code == (200 if status == 201 else 403)

    def test_invitations_are_for_the_callers_organization(self, api, acme, stranger):
        assert api.post(URL, {"email": "new@new.example"}, by=stranger).status_code == 201
        assert Invitation.objects.get().organization == stranger.organization
        assert problem(api.post(URL, {"email": "new@new.example"})) == (401, "credentials_missing")

    def test_the_email_names_inviter_and_organization(self, acme, owner, mailoutbox, django_capture_on_commit_callbacks):
        AuthManager(acme).update(owner.caller, name="A & B", email=acme.email)
        with django_capture_on_commit_callbacks(execute=True):
            AuthManager(acme).invite(owner.caller, "grace@new.example", "admin")
        (email,) = mailoutbox
        assert (email.to, email.subject) == (["grace@new.example"], "Invitation to join “A & B” on ContextMCP")
        assert "Olga Owner has invited you to join A & B on ContextMCP with the role “Admin”." in email.body
        ((html, kind),) = email.alternatives
        assert kind == "text/html"
        assert "A &amp; B" in html and f"/invitations/{_token(email)}/" in html

    def test_the_email_without_an_inviter_names_the_organization(self, acme, invited, mailoutbox):
        invitation, token = invited
        invitation.invited_by = None
        send_invitation(invitation, token)
        assert "\nYou have been invited to join Acme on ContextMCP with the role “Member”." in mailoutbox[-1].body

    def test_the_token_is_only_in_the_email(self, api, acme, invited, admin):
        invitation, token = invited
        assert token.encode() not in bytes(invitation.token_digest)
        assert token not in str(Invitation.objects.values()) + str(AuditEvent.objects.values()) + api.get(URL, by=admin).content.decode()
        assert str(invitation) == "grace@new.example to Acme"

    def test_sent_at_is_the_time_of_delivery(self, acme, admin, settings):
        settings.EMAIL_BACKEND, settings.EMAIL_DELIVERY_BACKEND = QUEUE, "tests.support.failing_mail.Backend"
        invitation = AuthManager(acme).invite(admin.caller, "grace@new.example", "member")
        delivery.deliver_due()
        invitation.refresh_from_db()
        assert invitation.sent_at is None
        settings.EMAIL_DELIVERY_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
        OutgoingEmail.objects.update(next_attempt_at=now())
        delivery.deliver_due()
        invitation.refresh_from_db()
        assert invitation.sent_at is not None

    def test_members_and_invited_addresses_cannot_be_invited_again(self, api, admin, member, invited):
        assert problem(api.post(URL, {"email": "MEMBER@acme.example"}, by=admin)) == (409, "already_member")
        assert problem(api.post(URL, {"email": "GRACE@new.example"}, by=admin)) == (409, "already_invited")

    def test_an_expired_invitation_can_be_replaced(self, api, acme, admin, invited):
        AuthManager(acme).set_clock(timedelta(days=7), "clock_1")
        assert api.post(URL, {"email": "grace@new.example", "role": "viewer"}, by=admin).status_code == 201
        assert Invitation.objects.pending().get().role == "viewer"

    def test_only_an_owner_invites_an_owner(self, api, owner, admin):
        api.client.force_login(admin.user)
        assert problem(api.post(URL, {"email": "new@new.example", "role": "owner"})) == (403, "permission_denied")
        api.client.force_login(owner.user)
        assert api.post(URL, {"email": "new@new.example", "role": "owner"}).status_code == 201

    def test_inviting_requires_the_scope(self, api, owner):
        raw = key_of(owner.membership, ["organization:read"])
        assert problem(api.post(URL, {"email": "new@new.example"}, by=raw)) == (403, "insufficient_scope")

    def test_a_repeated_request_creates_one_invitation(self, api, admin):
        body = {"email": "new@new.example"}
        first = api.post(URL, body, by=admin, idempotency_key="k")
        assert api.post(URL, body, by=admin, idempotency_key="k").json() == first.json()
        assert Invitation.objects.count() == 1

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"email": "x"},
            {"email": "a@b.example\nBcc: c@d.example"},
            {"email": f"{'a' * 250}@b.example"},
            {"email": 7},
            {"email": None},
            {"email": "a@b.example", "role": "king"},
            {"email": "a@b.example", "token": "x"},
            [],
        ],
    )
    def test_bad_bodies(self, api, admin, body):
        assert problem(api.post(URL, body, by=admin)) == (422, "validation_error")


class TestAccept:
    def test_an_invitation_can_be_accepted_once(self, acme, invited, grace):
        _, token = invited
        member = AuthManager.accept_invitation(token, grace, seat_limit=SeatLimit("team_members", 10))
        assert (member.organization, member.role) == (acme, "member")
        with pytest.raises(InvitationNotFound):
            AuthManager.accept_invitation(token, grace, seat_limit=SeatLimit("team_members", 10))
        assert AuditEvent.objects.filter(action="invitation.accepted", actor_user=grace).exists()

    def test_the_link_shows_organization_and_role(self, invited):
        assert AuthManager.find_invitation(invited[1]).email == "grace@new.example"

    @pytest.mark.parametrize("token", ["", "x", "\0", "\ud800", "x" * 10_000])
    def test_unknown_tokens_are_refused(self, db, token):
        with pytest.raises(InvitationNotFound):
            AuthManager.find_invitation(token)

    def test_an_invitation_expires_after_seven_days(self, acme, invited, grace):
        AuthManager(acme).set_clock(timedelta(days=6, hours=23), "clock_1")
        AuthManager.find_invitation(invited[1])
        AuthManager(acme).set_clock(timedelta(days=7), "clock_1")
        with pytest.raises(InvitationExpired):
            AuthManager.accept_invitation(invited[1], grace, None)

    def test_only_the_invited_address_can_accept(self, invited, stranger):
        with pytest.raises(PermissionDenied, match="sent to grace@new"):
            AuthManager.accept_invitation(invited[1], stranger.user, None)

    def test_accepting_requires_a_free_seat(self, acme, invited, grace):
        with pytest.raises(SeatLimitReached) as refusal:
            AuthManager.accept_invitation(invited[1], grace, seat_limit=SeatLimit("team_members", 2))
        assert refusal.value.details == {"feature": "team_members", "limit": 2, "used": 2}
        assert AuthManager.accept_invitation(invited[1], grace, seat_limit=SeatLimit("team_members", 3))

    def test_an_existing_member_cannot_accept(self, acme, invited, grace):
        Membership.objects.create(organization=acme, user=grace)
        with pytest.raises(Conflict, match="already"):
            AuthManager.accept_invitation(invited[1], grace, None)

    def test_closed_organization_accepts_no_members(self, acme, owner, invited, grace):
        AuthManager(acme).close(owner.caller)
        Invitation.objects.update(revoked_at=None)
        with pytest.raises(InvitationNotFound):
            AuthManager.accept_invitation(invited[1], grace, None)

    @pytest.mark.django_db(transaction=True)
    def test_two_concurrent_acceptances_share_one_seat(self, acme, owner):
        users = [UserFactory() for _ in range(4)]
        for number, user in enumerate(users):
            Invitation.objects.create(
                organization=acme,
                email=user.email,
                token_digest=invitations.digest(f"t{number}"),
                expires_at=now() + timedelta(1),
                invited_by=owner.user,
            )
        results, ready = [], threading.Barrier(len(users))

        def accept(number):
            ready.wait()
            try:
                AuthManager.accept_invitation(f"t{number}", users[number], seat_limit=SeatLimit("team_members", 2))
                results.append("in")
            except SeatLimitReached:
                results.append("out")
            finally:
                connection.close()

        threads = [threading.Thread(target=accept, args=[number]) for number in range(len(users))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == ["in", "out", "out", "out"]
        assert Membership.objects.filter(organization=acme).count() == 2


class TestResendAndRevoke:
    def test_resending_creates_a_new_link_and_expiration(self, api, invited, admin, mailoutbox, django_capture_on_commit_callbacks):
        invitation, old = invited
        with django_capture_on_commit_callbacks(execute=True):
            response = api.post(f"{URL}/{invitation.pk}/resend", by=admin)
        assert response.status_code == 200
        new = _token(mailoutbox[-1])
        assert new != old and AuthManager.find_invitation(new).expires_at > invitation.expires_at
        with pytest.raises(InvitationNotFound):
            AuthManager.find_invitation(old)

    def test_a_revoked_link_is_refused(self, api, invited, admin):
        assert api.delete(f"{URL}/{invited[0].pk}", by=admin).status_code == 204
        with pytest.raises(InvitationNotFound):
            AuthManager.find_invitation(invited[1])
        assert problem(api.delete(f"{URL}/{invited[0].pk}", by=admin)) == (404, "not_found")
        assert api.get(URL, by=admin).json()["data"] == []

    @pytest.mark.parametrize(("who", "status"), [("owner", 204), ("member", 403), ("viewer", 403), ("stranger", 404), (None, 401)])
    def test_only_permitted_roles_can_do_it(self, api, request, invited, who, status):
        by = request.getfixturevalue(who) if who else None
        assert api.post(f"{URL}/{invited[0].pk}/resend", by=by).status_code == (200 if status == 204 else status)
        assert api.delete(f"{URL}/{invited[0].pk}", by=by).status_code == status


class TestTheRightOfWhoInvited:
    @pytest.mark.parametrize("change", ["removed", "demoted", "inactive"])
    def test_an_invitation_ends_with_the_inviters_permission(self, acme, owner, admin, invited, grace, change):
        if change == "removed":
            AuthManager(acme).remove_member(owner.caller, admin.membership.pk)
        elif change == "demoted":
            AuthManager(acme).change_role(owner.caller, admin.membership.pk, "member")
        else:
            admin.user.is_active = False
            admin.user.save()
        with pytest.raises(InvitationNotFound):
            AuthManager.accept_invitation(invited[1], grace, None)
        if change != "inactive":
            assert AuditEvent.objects.filter(action="invitation.revoked", target="grace@new.example").exists()

    def test_a_former_owners_invitation_of_an_owner_is_void(self, acme, owner, grace, mailoutbox):
        second = Person(MembershipFactory(organization=acme, role="owner"))
        AuthManager(acme).invite(second.caller, grace.email, "owner")
        token = _token(mailoutbox[-1])
        AuthManager(acme).change_role(owner.caller, second.membership.pk, "admin")
        with pytest.raises(InvitationNotFound):
            AuthManager.accept_invitation(token, grace, None)

    def test_resending_makes_the_actor_the_inviter(self, acme, owner, admin, invited, grace, mailoutbox):
        AuthManager(acme).resend_invitation(owner.caller, invited[0].pk)
        AuthManager(acme).remove_member(owner.caller, admin.membership.pk)
        assert AuthManager.accept_invitation(_token(mailoutbox[-1]), grace, None)


class TestMailsSayNothingInASendersWords:
    def test_links_in_names_do_not_reach_the_subject(self, acme, owner, mailoutbox):
        Organization.objects.filter(pk=acme.pk).update(
            name="Your account is locked,\nsee evil.example/unlock or https://evil.example " + "x" * 9
        )
        AuthManager(acme).invite(owner.caller, "grace@new.example", "member")
        subject = mailoutbox[-1].subject
        assert "\n" not in subject and "evil.example" not in subject and len(subject) < 110
        assert "evil.example" not in mailoutbox[-1].body

    def test_owners_are_notified_of_a_new_owner_or_admin(self, acme, owner, member, grace, mailoutbox):
        AuthManager(acme).change_role(owner.caller, member.membership.pk, "admin")
        (notice,) = mailoutbox
        assert (notice.to, notice.subject) == ([owner.user.email], "member@acme.example now has the role “Admin” in “Acme”")
        assert f"The change was made by {owner.user.email}." in notice.body
        AuthManager(acme).invite(owner.caller, grace.email, "owner")
        AuthManager.accept_invitation(_token(mailoutbox[-1]), grace, None)
        assert sorted(email.to[0] for email in mailoutbox[2:]) == sorted([grace.email, owner.user.email, member.user.email])
        assert mailoutbox[-1].subject == f"{grace.email} joined “Acme”"
        AuthManager(acme).change_role(owner.caller, member.membership.pk, "viewer")
        assert len(mailoutbox) == 5
