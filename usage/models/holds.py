"""Holds: reservations of an estimated amount until the actual amount is known."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from contextmcp.common.ids import uuid7

from .summaries import NO_KEY, NO_MEMBER


class UsageHold(models.Model):
    """Reserves `amount` units of a quota until it is settled, released or expires."""

    class State(models.TextChoices):
        HELD = "held"
        SETTLED = "settled"
        RELEASED = "released"
        EXPIRED = "expired"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="usage_holds", db_index=False)
    feature = models.CharField(max_length=64)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    amount = models.BigIntegerField()
    state = models.CharField(max_length=8, choices=State, default=State.HELD)
    settled_amount = models.BigIntegerField(null=True)
    key_id = models.UUIDField(default=NO_KEY)
    member_id = models.BigIntegerField(default=NO_MEMBER)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(help_text="Real time, also for organizations with a test clock.")

    class Meta:
        db_table = "usage_holds"
        constraints: ClassVar = [models.CheckConstraint(condition=Q(amount__gt=0), name="usage_hold_amount_positive")]
        indexes: ClassVar = [
            models.Index(fields=["expires_at"], condition=Q(state="held"), name="usage_hold_due"),
            models.Index(fields=["organization", "feature", "period_start"], condition=Q(state="held"), name="usage_hold_open"),
            models.Index(fields=["organization", "-id"], name="usage_hold_by_organization"),
        ]

    def __str__(self) -> str:
        return f"{self.state}: {self.amount} {self.feature}"
