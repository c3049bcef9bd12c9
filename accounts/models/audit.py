"""The audit log."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Func, Q, Value
from django.utils import timezone

from .keys import ApiKey, ServiceKey
from .organizations import Organization
from .users import User


def _truncated(unit: str) -> Func:
    """Return `created_at` truncated to a unit of time in UTC. Unlike `Trunc`, the expression can be used in migrations and indexes."""
    in_utc = Func(Value("UTC"), F("created_at"), function="timezone", output_field=models.DateTimeField())
    return Func(Value(unit), in_utc, function="date_trunc", output_field=models.DateTimeField())


class AuditEvent(models.Model):
    """An entry of the audit log. Triggers (migration 0003) refuse to update, delete or truncate events."""

    # PROTECT: events cannot be changed, so the rows that they reference cannot be deleted.
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, null=True, related_name="audit_events")
    actor_user = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    actor_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, null=True, related_name="+")
    actor_service_key = models.ForeignKey(ServiceKey, on_delete=models.PROTECT, null=True, related_name="+")
    impersonator = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, db_index=False, related_name="+", help_text="Member of staff who acted as the actor."
    )
    action = models.CharField(max_length=64, help_text="Noun and verb, such as key.revoked.")
    target = models.CharField(max_length=255, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    reason = models.CharField(max_length=200, blank=True, help_text="The reason that staff entered.")
    ip_address = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["organization", "-created_at"], name="audit_by_organization"),
            models.Index(fields=["-created_at", "-id"], name="audit_newest_first"),
            models.Index(fields=["request_id"], condition=~Q(request_id=""), name="audit_by_request"),
            # Used to limit invitations by recipient across organizations.
            models.Index(fields=["target", "-created_at"], condition=Q(action__startswith="invitation."), name="audit_invitations"),
            models.Index(fields=["action", "-created_at", "-id"], name="audit_by_action"),
            models.Index(fields=["target"], opclasses=["varchar_pattern_ops"], name="audit_by_target"),
        ]
        # Events that are recorded once per person and object: views once an hour, refused attempts once a minute.
        constraints: ClassVar = [
            models.UniqueConstraint(
                "actor_user", "target", _truncated("hour"), condition=Q(action="staff.viewed"), name="audit_views_unique"
            ),
            models.UniqueConstraint(
                "actor_user", "target", _truncated("minute"), condition=Q(action="staff.refused"), name="audit_refusals_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target}".strip()
