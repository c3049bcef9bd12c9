"""Staff help with members, invitations, keys and closed organizations."""

from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress

from accounts.manager import AuthManager
from accounts.models import ApiKey, Invitation, Membership
from accounts.principal_cache import cache
from accounts.services import invitations
from contextmcp.common.clock import now
from tests.factories.accounts import Person, UserFactory
from tests.support.api import problem
from tests.support.staff_actions import REASON, errors, message, rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(staff_with):
    return staff_with(
        "accounts.manage_invitation",
        "accounts.change_membership",
        "accounts.remove_membership",
        "accounts.transfer_ownership",
        "accounts.change_user",
        "accounts.revoke_apikey",
        "accounts.reassign_apikey",
        "accounts.close_organization",
        "accounts.reopen_organization",
    )


@pytest.fixture
def invitation(owner, settings):
    settings.SEAT_LIMIT = "tests.support.seats.unlimited"
    return AuthManager(owner.organization).invite(owner.caller, "new@people.example", "member")


@pytest.fixture
def chosen(invitation):
    return {"invitation": str(invitation.pk)}


def test_an_invitation_is_resent_with_a_new_link(acme, staff, invitation, chosen, mailoutbox):
    Invitation.objects.update(expires_at=now() - timedelta(days=1))
    before = bytes(Invitation.objects.get().token_digest)
    assert staff.act(acme, "resend-invitation", **chosen) == "The invitation was sent to new@people.example again."
    row = Invitation.objects.get()
    assert bytes(row.token_digest) != before and row.expires_at > now() + timedelta(days=6)
    assert row.invited_by == invitation.invited_by
    assert [mail.to for mail in mailoutbox] == [["new@people.example"]] * 2
    assert staff.only_event("invitation.resent").organization == acme


def test_an_invitation_is_extended_and_its_link_stays_the_same(acme, staff, chosen, mailoutbox):
    Invitation.objects.update(expires_at=now() - timedelta(days=1))
    before = bytes(Invitation.objects.get().token_digest)
    assert "is valid until" in staff.act(acme, "extend-invitation", **chosen)
    row = Invitation.objects.get()
    assert (bytes(row.token_digest), row.expires_at > now() + timedelta(days=6)) == (before, True)
    assert len(mailoutbox) == 1
    staff.only_event("invitation.extended")


def test_an_invitation_is_revoked(acme, staff, chosen):
    assert staff.act(acme, "revoke-invitation", **chosen) == "The invitation of new@people.example was revoked."
    assert Invitation.objects.get().revoked_at
    staff.only_event("invitation.revoked")
    assert errors(staff.open(acme, "revoke-invitation"))[0] == "No invitation is open."


@pytest.mark.parametrize("action", ["resend-invitation", "extend-invitation"])
def test_invitations_of_people_who_may_not_invite_are_refused(acme, staff, owner, member, chosen, action):
    Membership.objects.filter(pk=member.membership.pk).update(role="owner")
    Membership.objects.filter(pk=owner.membership.pk).update(role="member")
    page = staff.confirm(acme, action, staff.confirmation(acme, action, **chosen))
    assert "can no longer invite" in errors(page)[1]
    assert not staff.events()


def test_an_invitation_of_another_organization_is_not_a_choice(staff, chosen, stranger):
    invitations.Invitation.objects.create(
        organization=stranger.organization, email="x@y.example", token_digest=b"x", expires_at=now(), invited_by=stranger.user
    )
    assert "Select a valid choice" in str(errors(staff.preview(stranger.organization, "revoke-invitation", **chosen))[2])


def test_a_role_is_changed(acme, staff, owner, member, mailoutbox):
    chosen = {"member": str(member.membership.pk), "role": "admin"}
    assert rows(staff.preview(acme, "change-role", **chosen))["Role of member@acme.example"] == ("Member", "Admin")
    assert staff.act(acme, "change-role", **chosen) == "member@acme.example is now an admin."
    event = staff.only_event("member.role_changed")
    assert (event.before, event.after) == ({"role": "member"}, {"role": "admin"})
    assert [mail.to for mail in mailoutbox] == [[owner.user.email]]
    assert "already has this role" in errors(staff.preview(acme, "change-role", **chosen))[1]


def test_the_last_owner_keeps_the_role(acme, staff, owner):
    form = staff.confirmation(acme, "change-role", member=str(owner.membership.pk), role="member")
    assert "owner" in errors(staff.confirm(acme, "change-role", form))[1]
    assert Membership.objects.get(pk=owner.membership.pk).role == "owner"
    assert not staff.events()


def test_ownership_is_transferred(acme, staff, owner, admin, mailoutbox):
    chosen = {"present": str(owner.membership.pk), "member": str(admin.membership.pk)}
    page = staff.preview(acme, "transfer-ownership", **chosen)
    assert rows(page) == {
        "Role of admin@acme.example": ("Admin", "Owner"),
        "Role of owner@acme.example": ("Owner", "Admin"),
    }
    assert any("Invoices are still sent" in each for each in page.context["preview"].warnings)
    assert staff.act(acme, "transfer-ownership", **chosen) == "admin@acme.example is now the owner."
    assert dict(Membership.objects.values_list("user__email", "role")) == {"owner@acme.example": "admin", "admin@acme.example": "owner"}
    event = staff.only_event("member.ownership_transferred")
    assert (event.before["owner@acme.example"], event.after["owner@acme.example"]) == ("owner", "admin")
    assert [mail.to for mail in mailoutbox] == [["admin@acme.example"]]


def test_a_member_is_removed(acme, staff, member, api):
    assert member.key
    preview = rows(staff.preview(acme, "remove-member", member=str(member.membership.pk)))
    assert preview["Keys of the member"] == ("1 not revoked", "do not work")
    assert staff.act(acme, "remove-member", member=str(member.membership.pk)) == "member@acme.example was removed."
    staff.only_event("member.removed")
    assert problem(api.get("/api/auth/whoami", by=member))[0] in {401, 403}


def test_an_address_is_changed_and_the_old_one_loses_access(acme, staff, member, mailoutbox):
    form = {"member": str(member.membership.pk), "email": "New@Acme.example"}
    session = member.user.session_epoch
    assert rows(staff.preview(acme, "change-address", **form))["Email address"] == ("member@acme.example", "new@acme.example")
    assert staff.act(acme, "change-address", **form) == "The email address of member@acme.example is now new@acme.example."
    member.user.refresh_from_db()
    assert (member.user.email, member.user.session_epoch) == ("new@acme.example", session + 1)
    assert list(EmailAddress.objects.filter(user=member.user).values_list("email", "verified")) == [("new@acme.example", False)]
    assert sorted(mail.to for mail in mailoutbox) == [["member@acme.example"], ["new@acme.example"]]
    event = staff.only_event("user.email_changed")
    assert (event.organization, event.before["email"], event.after["email"]) == (acme, "member@acme.example", "new@acme.example")


def test_addresses_in_use_and_of_staff_are_refused(acme, staff, member, owner):
    page = staff.preview(acme, "change-address", member=str(member.membership.pk), email=owner.user.email)
    assert "already" in errors(page)[1] or "use" in errors(page)[1]
    member.user.is_staff = True
    member.user.save()
    assert errors(staff.preview(acme, "change-address", member=str(member.membership.pk), email="x@acme.example"))[1]
    assert not staff.events()


def test_a_key_is_revoked(acme, staff, member, api):
    assert member.key
    key = ApiKey.objects.get()
    assert rows(staff.preview(acme, "revoke-key", key=str(key.pk))) == {str(key): ("active", "revoked")}
    assert staff.act(acme, "revoke-key", key=str(key.pk)) == f"{key} was revoked."
    assert staff.only_event("key.revoked").target == str(key.pk)
    assert problem(api.get("/api/auth/whoami", by=member)) == (401, "key_revoked")


def test_all_keys_are_revoked_with_one_event(acme, staff, member, owner, stranger):
    assert member.key and owner.key and stranger.key
    assert staff.act(acme, "revoke-all-keys") == "2 keys revoked."
    assert list(ApiKey.objects.filter(revoked_at=None)) == [ApiKey.objects.get(organization=stranger.organization)]
    event = staff.only_event("key.all_revoked")
    assert (event.before["count"], event.after["revoked"]) == (2, 2)
    assert "no active API keys" in errors(staff.open(acme, "revoke-all-keys"))[0]


def test_keys_of_a_former_member_work_again_for_another_member(acme, staff, member, admin, api):
    assert member.key
    AuthManager(acme).remove_member(None, member.membership.pk)
    assert problem(api.get("/api/auth/whoami", by=member))[0] in {401, 403}
    chosen = {"keys": "orphaned", "member": str(admin.membership.pk)}
    page = staff.preview(acme, "reassign-keys", **chosen)
    assert next(iter(rows(page).values())) == ("None: the key is inactive", "admin@acme.example")
    assert "former member" in page.context["preview"].warnings[0]
    assert staff.act(acme, "reassign-keys", **chosen) == "1 key reassigned."
    # Other processes and this one read the change from the invalidation log, which is written when the transaction commits.
    cache.reset()
    assert api.get("/api/auth/whoami", by=member).status_code == 200
    event = staff.only_event("key.reassigned")
    assert (event.target, event.after["count"], list(event.before.values())) == ("admin@acme.example", 1, [None])


def test_keys_of_a_member_or_one_key_are_given_away(acme, staff, member, admin, owner):
    assert member.key and owner.key
    staff.act(acme, "reassign-keys", keys=f"member:{member.membership.pk}", member=str(admin.membership.pk))
    assert ApiKey.objects.get(creator=admin.membership).created_by == member.user
    key = ApiKey.objects.get(creator=owner.membership)
    staff.act(acme, "reassign-keys", keys=f"key:{key.pk}", member=str(admin.membership.pk))
    assert ApiKey.objects.filter(creator=admin.membership).count() == 2
    page = staff.preview(acme, "reassign-keys", keys=f"key:{key.pk}", member=str(admin.membership.pk))
    assert "no API keys to change" in errors(page)[1]


def test_a_closed_organization_is_reopened(acme, staff, owner, api, sign_in_as, staff_with):
    assert owner.key
    staff.act(acme, "close")
    client = sign_in_as(owner)
    assert "Acme" not in client.get("/account/").text or client.get("/account/").status_code != 200
    other = staff_with("accounts.reopen_organization")
    assert rows(other.preview(acme, "reopen"))["Members"] == ("no access", "1 with access")
    assert other.act(acme, "reopen") == "Acme was reopened."
    acme.refresh_from_db()
    assert acme.closed_at is None
    assert other.only_event("organization.reopened").before["closed_at"]
    assert client.get("/account/").status_code == 200
    assert problem(api.get("/api/auth/whoami", by=owner)) == (401, "key_revoked")
    fresh = Person(Membership.objects.select_related("organization", "user").get(organization=acme))
    assert api.get("/api/entitlements", by=fresh).json()["plan"] == "free"
    assert errors(other.open(acme, "reopen"))[0] == "The organization is not closed."


def test_lists_stay_short_and_contain_the_linked_member(acme, staff, django_assert_max_num_queries, monkeypatch):
    monkeypatch.setattr("contextmcp.backoffice.actions.people_actions.MAX_CHOICES", 3)
    last = None
    for number in range(6):
        last = Membership.objects.create(organization=acme, user=UserFactory(email=f"m{number}@acme.example"))
    with django_assert_max_num_queries(30):
        page = staff.open(acme, "remove-member", member=str(last.pk))
    choices = dict(page.context["form"].fields["member"].choices)
    assert len(choices) == 4 and str(last.pk) in choices
    assert message(staff.confirm(acme, "remove-member", staff.confirmation(acme, "remove-member", member=str(last.pk))))
    assert staff.events()[0].reason == REASON
