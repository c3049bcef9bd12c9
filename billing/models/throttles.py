"""Request counts for the rate limit of billing operations."""

from typing import ClassVar

from django.db import models


class StripeRequestWindow(models.Model):
    """The number of requests by one subject (an organization or a user) that called Stripe within one time window."""

    subject = models.CharField(max_length=64)
    starts_at = models.DateTimeField(db_index=True)
    requests = models.PositiveIntegerField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["subject", "starts_at"], name="stripe_request_window_unique")]

    def __str__(self) -> str:
        return f"{self.subject} {self.starts_at:%Y-%m-%d %H:%M:%S}"
