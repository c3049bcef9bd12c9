"""The emails about an organization that its members chose to get or not to get."""

from typing import ClassVar

from django.db import models

from .organizations import Membership


class NotificationChoice(models.Model):
    """A member's choice for one topic. Without a row, the topic's default for the member's role applies (`accounts.notifications`)."""

    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="notification_choices", db_index=False)
    topic = models.CharField(max_length=32)
    enabled = models.BooleanField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["membership", "topic"], name="notification_choice_unique")]

    def __str__(self) -> str:
        return f"{self.topic} {'on' if self.enabled else 'off'}"
