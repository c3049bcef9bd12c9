"""Bulk changes of API keys by staff: revoke all of them, or reassign them to another member."""

from uuid import UUID

from django.db import transaction

from accounts import audit, invalidation, key_emails
from accounts.errors import NoKeysSelected
from accounts.models import ApiKey, Membership, Organization, User
from contextmcp.common.clock import now
from contextmcp.common.errors import NotFound

from .organizations import locked

# The audit event lists at most this many keys. Their number is always exact.
NAMED_KEYS = 100


def revoke_all_keys(organization: Organization, actor: User, *, reason: str) -> int:
    """Revoke all keys in all processes within a second. Return their number. Raises `NoKeysSelected` if there is none."""
    with transaction.atomic():
        locked(organization)
        present = now()
        keys = ApiKey.objects.filter(organization=organization, revoked_at=None)
        names = [str(key) for key in keys[:NAMED_KEYS]]
        count = keys.update(revoked_at=present)
        if not count:
            raise NoKeysSelected
        before, after = {"keys": names, "count": count}, {"revoked": count, "revoked_at": present.isoformat()}
        audit.record("key.all_revoked", organization=organization, actor=actor, before=before, after=after, reason=reason)
        key_emails.send_all_revoked(organization)
        invalidation.notify_now()
    return count


def reassign_keys(organization: Organization, actor: User, key_ids: list[UUID], membership_id: UUID, *, reason: str) -> int:
    """Make a member the creator of the keys and return the number of keys. From then on, the member's role limits their scopes.

    Keys of a former member work again. The secrets do not change, so anyone with a copy of a key can use it. Raises `NotFound` for an
    unknown member, and `NoKeysSelected` if all keys are revoked or already belong to the member.
    """
    with transaction.atomic():
        locked(organization)
        member = Membership.objects.select_related("user").filter(organization=organization, pk=membership_id, user__is_active=True).first()
        if member is None:
            raise NotFound("This member does not exist.")
        chosen = ApiKey.objects.filter(organization=organization, pk__in=key_ids, revoked_at=None).exclude(creator=member)
        keys = list(chosen.select_for_update(of=("self",)).select_related("creator__user"))
        if not keys:
            raise NoKeysSelected
        before = {str(key): key.creator.user.email if key.creator else None for key in keys[:NAMED_KEYS]}
        ApiKey.objects.filter(pk__in=[key.pk for key in keys]).update(creator=member)
        after = {"creator": member.user.email, "count": len(keys)}
        target = member.user.email
        audit.record("key.reassigned", organization=organization, actor=actor, target=target, before=before, after=after, reason=reason)
        invalidation.notify_now()
    return len(keys)
