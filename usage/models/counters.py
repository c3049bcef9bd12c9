"""The numbers that decide: one counter a period, one row a level, one setting for what is sold beyond."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q


class UsageCounter(models.Model):
    """What an organization used of a quota in one period. `used` is the sum of the events whose time lies in it."""

    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="usage_counters", db_index=False)
    feature = models.CharField(max_length=64)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    used = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0, help_text="Reserved by holds that are neither settled, released nor expired.")

    class Meta:
        db_table = "usage_counters"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "feature", "period_start"], name="usage_counter_once_a_period"),
            models.CheckConstraint(condition=Q(held__gte=0), name="usage_counter_held_from_zero"),
            models.CheckConstraint(condition=Q(period_end__gt=F("period_start")), name="usage_counter_period_runs_forward"),
        ]

    def __str__(self) -> str:
        return f"{self.feature} from {self.period_start:%Y-%m-%d}: {self.used}"


class UsageLevel(models.Model):
    """How much of a limit (projects, cache, ...) is in use now."""

    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="usage_levels", db_index=False)
    feature = models.CharField(max_length=64)
    value = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "usage_levels"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "feature"], name="usage_level_once"),
            models.CheckConstraint(condition=Q(value__gte=0), name="usage_level_from_zero"),
        ]

    def __str__(self) -> str:
        return f"{self.feature}: {self.value}"


class OverageSetting(models.Model):
    """Whether an organization buys beyond the allowance, and for how much a period at most."""

    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="overage_settings", db_index=False)
    feature = models.CharField(max_length=64)
    enabled = models.BooleanField(default=False)
    cap_minor = models.BigIntegerField(help_text="The most that may be spent in a period, in minor units of the currency.")
    currency = models.CharField(max_length=3)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "usage_overage_settings"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "feature"], name="usage_overage_once"),
            models.CheckConstraint(condition=Q(cap_minor__gte=0), name="usage_overage_cap_from_zero"),
        ]

    def __str__(self) -> str:
        return f"{self.feature}: {'on' if self.enabled else 'off'}, at most {self.cap_minor} {self.currency}"
