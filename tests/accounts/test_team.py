"""Members: who can view, change and remove whom. An organization always has an owner."""

import threading
import uuid

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError

from accounts.errors import LastOwner, PermissionDenied
from accounts.manager import AuthManager
from accounts.models import AuditEvent, Membership, Organization
from accounts.roles import PERMISSIONS, ROLE_SCOPES, SCOPES
from accounts.selectors import team_members_count
from accounts.signals import member_removed
from tests.factories.accounts import MembershipFactory, Person, UserFactory, key_of
from tests.support.api import problem

MEMBERS = "/api/organization/members"


def _url(person):
    return f"{MEMBERS}/{person.membership.pk}"


def test_the_table_of_permissions():
    admin = {"users:manage", "teams:manage", "projects:manage", "contexts:manage", "settings:view", "analytics:view"}
    member = {"projects:access", "contexts:access", "sessions:manage", "analytics:view"}
    viewer = {"projects:view", "contexts:view", "analytics:view"}
    assert {
        "owner": {"organization:manage", "billing:manage"} | admin | member | viewer,
        "admin": admin,
        "member": member,
        "viewer": viewer,
    } == PERMISSIONS
    assert ROLE_SCOPES["owner"] == set(SCOPES)
    assert ROLE_SCOPES["viewer"] < ROLE_SCOPES["member"] < ROLE_SCOPES["admin"] < ROLE_SCOPES["owner"]


class TestList:
    @pytest.mark.parametrize("who", ["owner", "admin", "member", "viewer"])
    def test_every_member_sees_the_team(self, api, request, acme, who):
        person = request.getfixturevalue(who)
        listed = api.get(MEMBERS, by=person).json()["data"]
        assert {"id": str(person.membership.pk), "email": person.user.email, "role": who}.items() <= listed[0].items()
        assert len(listed) == team_members_count(acme)

    def test_other_callers_see_only_their_own_team(self, api, owner, stranger):
        assert [row["email"] for row in api.get(MEMBERS, by=stranger).json()["data"]] == [stranger.user.email]
        assert problem(api.get(MEMBERS)) == (401, "credentials_missing")
        assert problem(api.get(MEMBERS, by=key_of(owner.membership, ["usage:read"]))) == (403, "insufficient_scope")


class TestChangeRole:
    @pytest.mark.parametrize(
        ("who", "status"), [("owner", 200), ("admin", 200), ("member", 403), ("viewer", 403), ("stranger", 404), (None, 401)]
    )
    def test_only_permitted_roles_can_do_it(self, api, request, acme, who, status):
        other = Person(MembershipFactory(organization=acme))
        by = request.getfixturevalue(who) if who else None
        assert api.patch(_url(other), {"role": "viewer"}, by=by).status_code == status
        other.membership.refresh_from_db()
        assert other.membership.role == ("viewer" if status == 200 else "member")

    def test_a_role_change_is_audited(self, api, owner, member):
        api.patch(_url(member), {"role": "viewer"}, by=owner, x_request_id="r-1")
        event = AuditEvent.objects.get(action="member.role_changed")
        assert (event.before, event.after, event.target) == ({"role": "member"}, {"role": "viewer"}, member.user.email)
        assert (event.actor_user, event.actor_key.created_by, event.organization) == (owner.user, owner.user, owner.organization)
        assert (event.request_id, event.ip_address) == ("r-1", "127.0.0.1")

    def test_setting_the_same_role_changes_nothing(self, api, owner, member):
        assert api.patch(_url(member), {"role": "member"}, by=owner).status_code == 200
        assert not AuditEvent.objects.filter(action="member.role_changed").exists()

    def test_only_owners_can_give_or_remove_the_owner_role(self, api, owner, admin, member):
        api.client.force_login(admin.user)
        assert problem(api.patch(_url(member), {"role": "owner"})) == (403, "permission_denied")
        assert problem(api.patch(_url(owner), {"role": "member"})) == (403, "permission_denied")
        api.client.force_login(owner.user)
        assert api.patch(_url(member), {"role": "owner"}).status_code == 200
        api.client.force_login(member.user)
        assert api.patch(_url(owner), {"role": "viewer"}).status_code == 200

    def test_the_last_owner_keeps_the_role(self, api, owner, admin):
        api.client.force_login(owner.user)
        assert problem(api.patch(_url(owner), {"role": "admin"})) == (409, "last_owner")
        api.patch(_url(admin), {"role": "owner"})
        assert api.patch(_url(owner), {"role": "admin"}).status_code == 200

    @pytest.mark.parametrize("role", ["owner", "admin"])
    def test_a_key_cannot_give_or_remove_privileged_roles(self, api, owner, admin, member, role):
        for answer in (
            api.patch(_url(member), {"role": role}, by=owner),
            api.patch(_url(admin), {"role": "member"}, by=owner),
            api.delete(_url(admin), by=owner),
            api.post("/api/organization/invitations", {"email": "new@new.example", "role": role}, by=owner),
        ):
            assert problem(answer) == (403, "sign_in_required")
        api.client.force_login(owner.user)
        assert api.patch(_url(member), {"role": role}).status_code == 200

    @pytest.mark.parametrize("body", [{}, {"role": "king"}, {"role": None}, {"role": ["admin"]}, {"role": "admin", "x": 1}, [], "admin"])
    def test_bad_bodies(self, api, owner, member, body):
        assert problem(api.patch(_url(member), body, by=owner)) == (422, "validation_error")

    def test_unknown_ids_are_not_found(self, api, owner):
        assert problem(api.patch(f"{MEMBERS}/{uuid.uuid4()}", {"role": "admin"}, by=owner)) == (404, "not_found")
        assert problem(api.patch(f"{MEMBERS}/7", {"role": "admin"}, by=owner)) == (404, "not_found")

    def test_a_caller_of_another_organization_is_refused(self, acme, member, stranger):
        with pytest.raises(PermissionDenied):
            AuthManager(acme).change_role(stranger.caller, member.membership.pk, "viewer")


class TestRemove:
    @pytest.mark.parametrize(
        ("who", "status"), [("owner", 204), ("admin", 204), ("member", 403), ("viewer", 403), ("stranger", 404), (None, 401)]
    )
    def test_only_permitted_roles_can_do_it(self, api, request, acme, who, status):
        other = Person(MembershipFactory(organization=acme))
        by = request.getfixturevalue(who) if who else None
        assert api.delete(_url(other), by=by).status_code == status
        assert Membership.objects.filter(pk=other.membership.pk).exists() == (status != 204)

    def test_any_member_can_leave(self, api, acme, member):
        messages = []
        member_removed.connect(listener := lambda **notices: messages.append((notices["organization"], notices["user"])))
        api.client.force_login(member.user)
        assert api.delete(_url(member)).status_code == 204
        member_removed.disconnect(listener)
        assert messages == [(acme, member.user)]
        assert problem(api.get("/api/auth/whoami")) == (403, "permission_denied")

    def test_a_key_cannot_leave_the_organization(self, api, member):
        assert problem(api.delete(_url(member), by=member)) == (403, "insufficient_scope")

    def test_the_last_owner_cannot_leave(self, api, owner, admin):
        api.client.force_login(owner.user)
        assert problem(api.delete(_url(owner))) == (409, "last_owner")
        api.client.force_login(admin.user)
        assert problem(api.delete(_url(owner))) == (403, "permission_denied")


class TestThereIsAlwaysAnOwner:
    @pytest.mark.django_db(transaction=True)
    def test_the_database_refuses_to_remove_the_last_owner(self, owner):
        for change in (owner.membership.delete, lambda: Membership.objects.update(role="admin"), owner.user.delete):
            with pytest.raises(IntegrityError, match=r"always has an owner|protected foreign keys"):
                change()
        assert Membership.objects.get().role == "owner"
        # The audit log references it, and the log cannot be changed.
        with pytest.raises(ProtectedError):
            Organization.objects.all().delete()

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("through_the_facade", [True, False])
    def test_two_owners_cannot_leave_concurrently(self, acme, owner, through_the_facade):
        others = [owner.membership, MembershipFactory(organization=acme, role="owner")]
        ready, results = threading.Barrier(2), []

        def leave(membership):
            try:
                ready.wait()
                if through_the_facade:
                    AuthManager(acme).remove_member(None, membership.pk)
                else:
                    with transaction.atomic():
                        membership.delete()
                        threading.Event().wait(0.1)
                results.append("left")
            except (LastOwner, IntegrityError):
                results.append("stayed")
            finally:
                connection.close()

        threads = [threading.Thread(target=leave, args=[membership]) for membership in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == ["left", "stayed"]
        assert Membership.objects.filter(organization=acme, role="owner").count() == 1


def test_a_non_member_is_no_caller(acme, stranger):
    with pytest.raises(PermissionDenied):
        AuthManager(acme).as_member(stranger.user)
    assert AuthManager(stranger.organization).as_member(stranger.user).role == "owner"


def test_addresses_are_case_insensitive(db):
    UserFactory(email="Ada@Example.com")
    with pytest.raises(IntegrityError), transaction.atomic():
        UserFactory._meta.model.objects.bulk_create([UserFactory._meta.model(email="ADA@example.com")])
    user = UserFactory._meta.model.objects.get_by_natural_key("ADA@EXAMPLE.COM")
    assert (user.email, user.get_short_name(), str(user)) == ("ada@example.com", user.name, "ada@example.com")
