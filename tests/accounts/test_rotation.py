"""Rotating and revoking keys over HTTP."""

import time
import uuid
from datetime import datetime, timedelta

import pytest
from django.db import connection

from accounts import key_format
from accounts.manager import AuthManager
from accounts.models import ApiKey, AuditEvent
from contextmcp.common.clock import now
from tests.factories.accounts import key_of
from tests.support.api import problem

ROTATE, LIST, ME = "/api/auth/rotate-key", "/api/auth/keys", "/api/auth/whoami"


def _row(raw):
    return ApiKey.objects.get(public_id=key_format.parse(raw).public_id)


class TestRotate:
    def test_the_old_key_works_during_the_overlap(self, api, acme, owner):
        old = key_of(owner.membership, ["usage:read", "entitlements:read"], name="CI")
        created = api.post(ROTATE, {"overlapSeconds": 3600}, by=old).json()
        assert (created["name"], created["scopes"], created["expiresAt"], created["rotatedFrom"]) == (
            "CI",
            ["entitlements:read", "usage:read"],
            None,
            str(_row(old).pk),
        )
        assert api.get(ME, by=old).status_code == api.get(ME, by=created["key"]).status_code == 200
        AuthManager(acme).set_clock(timedelta(seconds=3601), "clock_1")
        assert problem(api.get(ME, by=old)) == (401, "key_expired")
        assert api.get(ME, by=created["key"]).status_code == 200
        assert AuditEvent.objects.get(action="key.rotated").before == {"expires_at": None}

    @pytest.mark.django_db(transaction=True)
    def test_hashing_takes_no_lock_and_the_overlap_starts_after_it(self, acme, owner, monkeypatch):
        old, real, hashed = _row(owner.key), key_format.hash_key, []

        def slow(raw):
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '500ms'")
            ApiKey.objects.filter(pk=old.pk).update(name="touched meanwhile")
            connection.close()
            result = real(raw)
            time.sleep(0.5)
            hashed.append(now())
            return result

        monkeypatch.setattr(key_format, "hash_key", slow)
        AuthManager(acme).rotate_key(owner.caller, old.pk, timedelta(seconds=2))
        old.refresh_from_db()
        assert old.expires_at >= hashed[0] + timedelta(seconds=2)
        assert old.name == "touched meanwhile"

    def test_the_default_overlap_is_a_day(self, api, owner):
        api.post(ROTATE, by=owner.key)
        assert abs(_row(owner.key).expires_at - now() - timedelta(days=1)) < timedelta(minutes=1)

    def test_without_overlap_the_old_key_stops_immediately(self, api, owner):
        assert api.post(ROTATE, {"overlapSeconds": 0}, by=owner).status_code == 201
        assert problem(api.get(ME, by=owner)) == (401, "key_expired")

    def test_rotation_never_extends_the_expiration(self, api, owner):
        ends = now() + timedelta(hours=1)
        old = key_of(owner.membership, ["usage:read"], expires_at=ends)
        created = api.post(ROTATE, {"overlapSeconds": 86_400}, by=old).json()
        assert _row(old).expires_at == ends
        assert datetime.fromisoformat(created["expiresAt"]) == ends

    def test_a_key_can_be_rotated_once(self, api, owner):
        created = api.post(ROTATE, by=owner).json()
        assert problem(api.post(ROTATE, by=owner)) == (409, "key_already_rotated")
        assert api.delete(f"{LIST}/{created['id']}", by=owner).status_code == 204
        assert api.post(ROTATE, by=owner).status_code == 201

    def test_successors_keep_the_original_expiration(self, api, owner):
        ends = now() + timedelta(days=30)
        for raw, lives in [(owner.key, None), (key_of(owner.membership, ["usage:read"], expires_at=ends), ends)]:
            first = api.post(ROTATE, {"overlapSeconds": 60}, by=raw).json()
            api.delete(f"{LIST}/{first['id']}", by=owner)
            assert _row(api.post(ROTATE, {"overlapSeconds": 60}, by=raw).json()["key"]).expires_at == lives

    def test_a_session_must_name_the_key(self, api, member):
        raw = key_of(member.membership, ["usage:read"])
        api.client.force_login(member.user)
        assert problem(api.post(ROTATE, {})) == (422, "validation_error")
        assert api.post(ROTATE, {"keyId": str(_row(raw).pk)}).status_code == 201

    def test_rotating_another_key_requires_keys_write_and_its_scopes(self, api, owner):
        target = str(_row(key_of(owner.membership, ["usage:write"])).pk)
        assert problem(api.post(ROTATE, {"keyId": target}, by=key_of(owner.membership, ["usage:write"]))) == (403, "insufficient_scope")
        assert problem(api.post(ROTATE, {"keyId": target}, by=key_of(owner.membership, ["keys:write"]))) == (403, "insufficient_scope")
        assert api.post(ROTATE, {"keyId": target}, by=key_of(owner.membership, ["keys:write", "usage:write"])).status_code == 201

    def test_a_key_rotated_by_an_admin_belongs_to_the_admin(self, api, admin, member):
        created = api.post(ROTATE, {"keyId": str(_row(member.key).pk)}, by=admin).json()
        assert _row(created["key"]).creator == admin.membership

    def test_an_admin_does_not_gain_an_owners_scopes(self, api, owner, admin):
        assert problem(api.post(ROTATE, {"keyId": str(_row(owner.key).pk)}, by=admin)) == (403, "insufficient_scope")
        api.client.force_login(admin.user)
        assert problem(api.post(ROTATE, {"keyId": str(_row(owner.key).pk)})) == (403, "permission_denied")

    @pytest.mark.parametrize("who", ["member", "viewer", "stranger"])
    def test_other_members_do_not_find_the_key(self, api, request, owner, who):
        target = str(_row(owner.key).pk)
        assert problem(api.post(ROTATE, {"keyId": target}, by=request.getfixturevalue(who)))[0] in (404, 403)
        assert ApiKey.objects.get(pk=target).expires_at is None

    def test_anonymous_callers_cannot_rotate(self, api, db):
        assert problem(api.post(ROTATE, {})) == (401, "credentials_missing")

    def test_ended_keys_cannot_be_rotated(self, api, acme, owner):
        dead = _row(key_of(owner.membership, ["usage:read"]))
        AuthManager(acme).revoke_key(owner.caller, dead.pk)
        assert problem(api.post(ROTATE, {"keyId": str(dead.pk)}, by=owner)) == (409, "key_already_ended")

    @pytest.mark.parametrize(
        "body",
        [
            {"overlapSeconds": -1},
            {"overlapSeconds": 2_592_001},
            {"overlapSeconds": "a"},
            {"overlapSeconds": 10**30},
            {"overlapSeconds": None},
            {"keyId": "a"},
            {"keyId": []},
            {"x": 1},
            [],
        ],
    )
    def test_bad_bodies_get_a_validation_error(self, api, owner, body):
        assert problem(api.post(ROTATE, body, by=owner)) == (422, "validation_error")

    def test_foreign_and_unknown_ids_are_not_found(self, api, owner, stranger):
        for target in (str(_row(stranger.key).pk), str(uuid.uuid4())):
            assert problem(api.post(ROTATE, {"keyId": target}, by=owner)) == (404, "not_found")

    def test_a_repeated_request_rotates_once(self, api, owner):
        first = api.post(ROTATE, {}, by=owner, idempotency_key="k").json()
        assert api.post(ROTATE, {}, by=owner, idempotency_key="k").json() == {**first, "key": None}

    def test_the_manager_checks_the_overlap(self, acme, owner):
        raw = key_of(owner.membership, ["usage:read"])
        for overlap in (timedelta(seconds=-1), timedelta(days=30, seconds=1)):
            with pytest.raises(Exception, match="validation_error"):
                AuthManager(acme).rotate_key(owner.caller, _row(raw).pk, overlap)


class TestRevoke:
    def test_a_revocation_is_immediate(self, api, owner):
        raw = key_of(owner.membership, ["usage:read"])
        assert api.get(ME, by=raw).status_code == 200
        for _ in range(2):
            assert api.delete(f"{LIST}/{_row(raw).pk}", by=owner).status_code == 204
        assert problem(api.get(ME, by=raw)) == (401, "key_revoked")
        assert AuditEvent.objects.filter(action="key.revoked").count() == 1

    def test_a_key_can_revoke_itself(self, api, owner):
        raw = key_of(owner.membership, ["usage:read"])
        assert api.delete(f"{LIST}/{_row(raw).pk}", by=raw).status_code == 204

    def test_revoking_another_key_requires_keys_write(self, api, owner):
        raw = key_of(owner.membership, ["usage:read"])
        assert problem(api.delete(f"{LIST}/{_row(owner.key).pk}", by=raw)) == (403, "insufficient_scope")

    @pytest.mark.parametrize(("who", "status"), [("owner", 204), ("admin", 204), ("viewer", 404), ("stranger", 404)])
    def test_who_can_revoke_a_members_key(self, api, request, member, who, status):
        target = _row(member.key).pk
        assert api.delete(f"{LIST}/{target}", by=request.getfixturevalue(who)).status_code == status

    def test_a_member_cannot_revoke_an_owners_key(self, api, owner, member):
        assert problem(api.delete(f"{LIST}/{_row(owner.key).pk}", by=member)) == (404, "not_found")
        assert problem(api.delete(f"{LIST}/{_row(owner.key).pk}")) == (401, "credentials_missing")
        assert problem(api.delete(f"{LIST}/not-an-id", by=member)) == (404, "not_found")
