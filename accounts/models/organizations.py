"""Organizations, their members and invitations."""

from datetime import timedelta
from typing import ClassVar, Self

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.roles import Role
from contextmcp.common.ids import uuid7

from .users import User

# The search vector of an organization's name. It equals the expression of the index that the staff search uses.
NAME_WORDS = SearchVector("name", config="simple")


class Organization(models.Model):
    """A customer, which owns all other data. An organization is closed, never deleted."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=60, unique=True)
    email = models.EmailField(help_text="Billing address for invoices and receipts. Initially the owner's email address.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    closed_at = models.DateTimeField(null=True, blank=True, editable=False)
    clock_offset = models.DurationField(
        default=timedelta, editable=False, help_text="Difference between the Stripe test clock and real time. Zero outside test mode."
    )
    test_clock_id = models.CharField(max_length=255, blank=True, editable=False)
    members = models.ManyToManyField(User, through="Membership", related_name="organizations")

    class Meta:
        ordering = ["-created_at"]
        permissions: ClassVar = [
            ("close_organization", "Can close an organization"),
            ("reopen_organization", "Can reopen a closed organization"),
        ]
        indexes: ClassVar = [GinIndex(NAME_WORDS, name="organization_by_words")]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """The membership of a user in an organization, with a role."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    setup_dismissed_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the member hid the list of steps to set up the organization."
    )

    class Meta:
        ordering = ["created_at", "id"]
        permissions: ClassVar = [
            ("remove_membership", "Can remove a member from an organization"),
            ("transfer_ownership", "Can transfer the ownership of an organization"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "user"], name="membership_unique"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="membership_role_valid"),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def pending(self) -> Self:
        """Return the invitations that are neither accepted nor revoked. They may have expired."""
        return self.filter(accepted_at=None, revoked_at=None)


class Invitation(models.Model):
    """An invitation to join an organization. Only a digest of its token is stored; the token is in the email."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    token_digest = models.BinaryField(max_length=32, unique=True, editable=False)
    invited_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    sent_at = models.DateTimeField(
        null=True, editable=False, help_text="When the mail server accepted the email. Empty while it is queued."
    )
    accepted_at = models.DateTimeField(null=True, editable=False)
    accepted_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+", editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        permissions: ClassVar = [("manage_invitation", "Can resend, extend and revoke invitations")]
        indexes: ClassVar = [models.Index(fields=["email"], opclasses=["varchar_pattern_ops"], name="invitation_by_email")]
        constraints: ClassVar = [
            models.UniqueConstraint(
                "organization", Lower("email"), condition=Q(accepted_at=None, revoked_at=None), name="invitation_unique_pending"
            ),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="invitation_role_valid"),
        ]

    def __str__(self) -> str:
        return f"{self.email} to {self.organization}"
