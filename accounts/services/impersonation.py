"""Start and end impersonation: staff view the product as a member of an organization."""

from django.db import transaction

from accounts import audit
from accounts.errors import NotImpersonatable, PermissionDenied
from accounts.models import Membership, User
from accounts.models.impersonation import MAX_IMPERSONATION, Impersonation
from contextmcp.common.clock import now

PERMISSION = "accounts.impersonate_member"
CHANGES_PERMISSION = "accounts.impersonate_with_changes"


def start(staff: User, membership: Membership, reason: str, *, allows_changes: bool = False) -> Impersonation:
    """Start viewing as the member for `MAX_IMPERSONATION`. An open impersonation by the same staff member is ended first.

    Raises:
        PermissionDenied: the staff member lacks the permission to impersonate, or to make changes while impersonating.
        NotImpersonatable: the member is staff, inactive, or of a closed organization.
    """
    if not staff.is_staff or not staff.has_perm(PERMISSION) or (allows_changes and not staff.has_perm(CHANGES_PERMISSION)):
        raise PermissionDenied
    if not _may_be_viewed(membership):
        raise NotImpersonatable
    present = now()
    with transaction.atomic():
        # The lock serializes concurrent starts by the same staff member, who may have only one open period.
        User.objects.select_for_update(no_key=True).get(pk=staff.pk)
        for earlier in Impersonation.objects.select_related("staff", "user", "organization").filter(staff=staff, ended_at=None):
            end(earlier, "another one started")
        row = Impersonation.objects.create(
            staff=staff,
            user=membership.user,
            organization=membership.organization,
            reason=reason,
            allows_changes=allows_changes,
            started_at=present,
            expires_at=present + MAX_IMPERSONATION,
        )
        audit.record(
            "impersonation.started",
            organization=membership.organization,
            actor=staff,
            target=membership.user.email,
            after={"impersonation": str(row.pk), "allows_changes": allows_changes, "expires_at": row.expires_at.isoformat()},
            reason=reason,
        )
    return row


def end(impersonation: Impersonation, because: str) -> None:
    """End the period and audit why ("stopped", "signed out", "expired"). Idempotent."""
    with transaction.atomic():
        if not Impersonation.objects.filter(pk=impersonation.pk, ended_at=None).update(ended_at=now()):
            return
        audit.record(
            "impersonation.ended",
            organization=impersonation.organization,
            actor=impersonation.staff,
            target=impersonation.user.email,
            after={"impersonation": str(impersonation.pk), "because": because},
        )


def active(impersonation_id: str, staff: User) -> tuple[Impersonation, Membership] | None:
    """Return the impersonation with its member if it is still allowed. Otherwise end it and return None."""
    row = Impersonation.objects.select_related("staff", "user", "organization").filter(pk=impersonation_id, staff=staff).first()
    if row is None or row.ended_at is not None:
        return None
    if row.expires_at <= now():
        end(row, "expired")
        return None
    membership = Membership.objects.select_related("organization", "user").filter(organization=row.organization, user=row.user).first()
    permission = CHANGES_PERMISSION if row.allows_changes else PERMISSION
    if membership is None or not _may_be_viewed(membership) or not staff.is_staff or not staff.has_perm(permission):
        end(row, "no longer allowed")
        return None
    return row, membership


def end_expired() -> int:
    """End impersonations that expired without a further request, for example after the browser was closed. Return their number."""
    rows = list(Impersonation.objects.select_related("staff", "user", "organization").filter(ended_at=None, expires_at__lte=now())[:1000])
    for row in rows:
        end(row, "expired")
    return len(rows)


def _may_be_viewed(membership: Membership) -> bool:
    user = membership.user
    return user.is_active and not user.is_staff and not user.is_superuser and membership.organization.closed_at is None
