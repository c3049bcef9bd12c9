"""Requests to Stripe. Each row is committed before the call, and its id is the call's idempotency key."""

from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from contextmcp.common.ids import uuid7


class CheckoutAttempt(models.Model):
    """One Checkout session. `request` is the exact body that is sent, so that a retry after a crash repeats the same request."""

    class State(models.TextChoices):
        PREPARING = "preparing"  # Stripe may or may not have received the request
        OPEN = "open"
        COMPLETED = "completed"
        EXPIRED = "expired"
        FAILED = "failed"
        WITHHELD = "withheld"  # completed, but the trial was used before: the subscription is canceled before it is charged

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="checkout_attempts")
    plan = models.CharField(max_length=40)
    interval = models.CharField(max_length=8)
    promotion_code = models.CharField(max_length=100, blank=True)
    request = models.JSONField(default=dict)
    state = models.CharField(max_length=12, choices=State.choices, default=State.PREPARING)
    session_id = models.CharField(max_length=128, unique=True, null=True, blank=True)
    url = models.TextField(blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization"], condition=Q(state__in=["preparing", "open"]), name="checkout_unique_open"),
        ]

    def __str__(self) -> str:
        return f"{self.plan}/{self.interval} {self.state}"

    @property
    def includes_trial(self) -> bool:
        return "trial_period_days" in self.request.get("subscription_data", {})


class BillingActionQuerySet(models.QuerySet["BillingAction"]):
    def pending(self) -> Self:
        return self.filter(state=BillingAction.State.PENDING)

    def waiting(self) -> Self:
        """Return the plan changes that wait for payment confirmation."""
        return self.filter(state=BillingAction.State.WAITING)


class BillingAction(models.Model):
    """Any other write to Stripe, such as a plan change or a cancellation. A pending row is reused if the next request is identical."""

    class State(models.TextChoices):
        PENDING = "pending"
        WAITING = "waiting"  # for the customer to confirm the payment
        DONE = "done"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="billing_actions")
    kind = models.CharField(max_length=40)
    parameters = models.JSONField(default=dict)
    released_schedule_id = models.CharField(max_length=128, blank=True)  # the schedule to restore if the payment is declined
    state = models.CharField(max_length=8, choices=State.choices, default=State.PENDING)
    error = models.CharField(max_length=500, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    objects = BillingActionQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes: ClassVar = [
            models.Index(fields=["organization", "kind"], name="action_by_organization"),
            models.Index(fields=["organization", "-created_at"], condition=Q(state="failed"), name="action_failed"),
            models.Index(fields=["kind", "-id"], name="action_by_kind"),
            models.Index(fields=["-id"], condition=Q(state__in=["pending", "waiting", "failed"]), name="action_unfinished"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.state}"
