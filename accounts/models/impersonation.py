"""The record of staff who viewed the product as a member of an organization."""

from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from contextmcp.common.ids import uuid7

MAX_IMPERSONATION = timedelta(minutes=60)


class Impersonation(models.Model):
    """A period in which a member of staff sees the pages of a member of an organization, read-only unless `allows_changes`."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    staff = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name="member")
    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="impersonations")
    reason = models.CharField(max_length=200)
    allows_changes = models.BooleanField(default=False)
    started_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-started_at", "-id"]
        permissions: ClassVar = [
            ("impersonate_member", "Can view the product as a member"),
            ("impersonate_with_changes", "Can make changes while viewing the product as a member"),
        ]
        indexes: ClassVar = [models.Index(fields=["expires_at"], condition=Q(ended_at=None), name="impersonation_open")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["staff"], condition=Q(ended_at=None), name="impersonation_one_open"),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("started_at"), expires_at__lte=F("started_at") + MAX_IMPERSONATION),
                name="impersonation_length",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.staff} as {self.user}"
