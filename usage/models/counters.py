"""The rows that decisions are based on: counters per period, gauges, and overage settings."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from contextmcp.common.money import format_amount


class UsageCounter(models.Model):
    """Usage of one meter by one organization in one period. `used` is the sum of the events that occurred in the period.

    A limit applies only to the counter of a quota. The counter of a rate limit's meter bounds its corrections.
    """

    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="usage_counters", db_index=False)
    feature = models.CharField(max_length=64)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    used = models.BigIntegerField(default=0)
    credited = models.BigIntegerField(default=0, help_text="Additional units for this period, granted by events with `credit`.")
    held = models.BigIntegerField(default=0, help_text="Units reserved by open holds.")

    class Meta:
        db_table = "usage_counters"
        permissions: ClassVar = [("correct_usage", "Can correct usage and credit units")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "feature", "period_start"], name="usage_counter_unique"),
            models.CheckConstraint(condition=Q(held__gte=0), name="usage_counter_held_not_negative"),
            models.CheckConstraint(condition=Q(credited__gte=0), name="usage_counter_credited_not_negative"),
            models.CheckConstraint(condition=Q(period_end__gt=F("period_start")), name="usage_counter_period_order"),
        ]

    def __str__(self) -> str:
        return f"{self.feature} from {self.period_start:%Y-%m-%d}: {self.used}"


class UsageGauge(models.Model):
    """The amount of a gauge (projects, cache, ...) that is in use now."""

    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="usage_gauges", db_index=False)
    feature = models.CharField(max_length=64)
    value = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "usage_gauges"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "feature"], name="usage_gauge_unique"),
            models.CheckConstraint(condition=Q(value__gte=0), name="usage_gauge_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.feature}: {self.value}"


class OverageSetting(models.Model):
    """Whether an organization buys overage of a feature, and the spending cap per usage month."""

    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="overage_settings", db_index=False)
    feature = models.CharField(max_length=64)
    enabled = models.BooleanField(default=False)
    cap_minor = models.BigIntegerField(help_text="Spending cap per usage month, in minor units of the currency.")
    currency = models.CharField(max_length=3)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "usage_overage_settings"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "feature"], name="usage_overage_setting_unique"),
            models.CheckConstraint(condition=Q(cap_minor__gte=0), name="usage_overage_cap_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.feature}: {'on' if self.enabled else 'off'}, at most {format_amount(self.cap_minor, self.currency)}"
