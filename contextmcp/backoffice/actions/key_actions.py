"""Revoke keys, and reassign them to another member."""

from typing import Any
from uuid import UUID

from django.db.models import Count

from accounts.errors import NoKeysSelected
from accounts.manager import AuthManager
from accounts.models import ApiKey, Membership, Organization
from contextmcp.common.clock import now
from contextmcp.common.errors import NotFound
from contextmcp.common.ids import as_uuid

from .base import ActionForm, ConfirmedRequest, OrganizationAction, OrganizationFacts, Preview, Row
from .fields import choice_field
from .people_actions import MAX_CHOICES, MemberForm

GROUP = "Keys"
ORPHANED, OF_MEMBER, ONE = "orphaned", "member", "key"
_NO_KEYS = "The organization has no active API keys."


class _KeyAction(OrganizationAction):
    group = GROUP
    permission = "accounts.revoke_apikey"
    sensitive = True

    def unavailable(self, facts: OrganizationFacts) -> str:
        return super().unavailable(facts) or ("" if facts.has_keys else _NO_KEYS)


class KeyForm(ActionForm):
    key = choice_field("Key")

    def prepare(self) -> None:
        chosen = as_uuid(str(self["key"].value() or ""))
        rows = list(_keys(self.organization)[:MAX_CHOICES])
        rows += [row for row in _keys(self.organization).filter(pk=chosen) if row not in rows] if chosen else []
        self.fields["key"].choices = [(str(row.pk), _describe(row)) for row in rows]  # type: ignore[attr-defined]


class RevokeKey(_KeyAction):
    name = "revoke-key"
    title = "Revoke a key"
    description = "The key stops working in all processes within a second. This cannot be undone."
    form = KeyForm
    destructive = True

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        key = _key(organization, data["key"])
        return Preview((Row(str(key), key.status(now(organization)), "revoked"),))

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        key = _key(organization, data["key"])
        AuthManager(organization).revoke_key(confirmed.actor, key.pk, reason=confirmed.reason)
        return f"{key} was revoked."


class RevokeAllKeys(_KeyAction):
    name = "revoke-all-keys"
    title = "Revoke all keys"
    description = "All API keys stop working in all processes within a second. Connected apps keep working. This cannot be undone."
    destructive = True

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        return Preview((Row("API keys", f"{_keys(organization).count():,} not revoked", "all revoked"),))

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        count = AuthManager(organization).revoke_all_keys(confirmed.actor, reason=confirmed.reason)
        return f"{count:,} key{'' if count == 1 else 's'} revoked."


class ReassignForm(MemberForm):
    field_order = ["keys", "member"]
    keys = choice_field("Keys")

    def prepare(self) -> None:
        super().prepare()
        self.fields["member"].label = "New creator"
        choices = _selections(self.organization)
        chosen = str(self["keys"].value() or "")
        kind, _, key = chosen.partition(":")
        if kind == ONE and chosen not in dict(choices):
            choices += [(f"{ONE}:{row.pk}", _describe(row)) for row in _keys(self.organization).filter(pk=as_uuid(key))]
        self.fields["keys"].choices = choices  # type: ignore[attr-defined]


class ReassignKeys(_KeyAction):
    name = "reassign-keys"
    title = "Reassign keys to another member"
    permission = "accounts.reassign_apikey"
    description = (
        "Makes a member responsible for keys, for example after a colleague left. The role of the member limits what the keys may do."
    )
    form = ReassignForm

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        member = Membership.objects.select_related("user").get(organization=organization, pk=data["member"])
        keys = list(_selected(organization, data["keys"]).exclude(creator=member).select_related("creator__user")[: MAX_CHOICES + 1])
        if not keys:
            raise NoKeysSelected
        rows = [
            Row(_describe(key), str(key.creator.user) if key.creator else "None: the key is inactive", str(member.user))
            for key in keys[:50]
        ]
        if len(keys) > len(rows):
            rows.append(Row("More keys", "", "also changed"))
        warnings = ["The keys themselves do not change, so a former member who has a copy can still use them. Recommend rotating them."]
        return Preview(tuple(rows), tuple(warnings))

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        ids: list[UUID] = list(_selected(organization, data["keys"]).values_list("pk", flat=True))
        count = AuthManager(organization).reassign_keys(confirmed.actor, ids, UUID(data["member"]), reason=confirmed.reason)
        return f"{count:,} key{'' if count == 1 else 's'} reassigned."


def _keys(organization: Organization) -> Any:
    return ApiKey.objects.filter(organization=organization, revoked_at=None)


def _describe(key: ApiKey) -> str:
    return str(key)


def _key(organization: Organization, key: str) -> ApiKey:
    row: ApiKey | None = _keys(organization).filter(pk=as_uuid(key)).first()
    if row is None:
        raise NotFound("This key does not exist or was revoked.")
    return row


def _selections(organization: Organization) -> list[tuple[str, str]]:
    """Return what can be reassigned: all keys without a creator, all keys of a member, or one key."""
    keys = _keys(organization)
    orphaned = keys.filter(creator=None).count()
    choices = [(ORPHANED, f"All keys whose creator left ({orphaned:,})")] if orphaned else []
    per_member = keys.exclude(creator=None).values_list("creator_id", "creator__user__email").annotate(count=Count("id")).order_by("-count")
    choices += [(f"{OF_MEMBER}:{pk}", f"All keys of {email} ({count:,})") for pk, email, count in per_member[:MAX_CHOICES]]
    return choices + [(f"{ONE}:{row.pk}", _describe(row)) for row in keys[:MAX_CHOICES]]


def _selected(organization: Organization, selection: str) -> Any:
    kind, _, key = selection.partition(":")
    keys = _keys(organization)
    if kind == ORPHANED:
        return keys.filter(creator=None)
    return keys.filter(creator_id=as_uuid(key)) if kind == OF_MEMBER else keys.filter(pk=as_uuid(key))
