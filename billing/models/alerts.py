"""Alerts for problems that only the operator can fix."""

from typing import ClassVar

from django.db import models
from django.utils import timezone


class OperatorAlert(models.Model):
    """A problem that only the operator can fix, such as a reason for which Stripe rejects customers' requests.

    The alert is open until staff resolve it. Another occurrence reopens it.
    """

    code = models.CharField(
        max_length=60, unique=True, help_text="Error code that customers received, or the kind of problem that billing detected."
    )
    message = models.TextField(help_text="Stripe's message or the details of the latest occurrence.")
    organization = models.ForeignKey(
        "accounts.Organization",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="Organization affected by the latest occurrence.",
    )
    occurrences = models.PositiveIntegerField(default=1)
    first_seen_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(default=timezone.now)
    emailed_at = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-last_seen_at"]

    def __str__(self) -> str:
        return self.code
