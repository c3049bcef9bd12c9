"""Published plan versions, grants and overrides."""

from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from .catalog_schema import Plan, parse_plan
from .types import Source


class ImmutableRow(Exception):
    """Code tried to change or delete a row that is append-only. This is a programming error."""


class AppendOnlyQuerySet(models.QuerySet[Any]):
    """A queryset that refuses to delete. Database triggers refuse it too."""

    def delete(self) -> Any:
        raise ImmutableRow("These rows cannot be deleted.")


class PlanVersionQuerySet(AppendOnlyQuerySet):
    def newest(self) -> "models.QuerySet[PlanVersion]":
        """Return the latest published version of each plan."""
        return self.order_by("plan", "-version").distinct("plan")


class PlanVersion(models.Model):
    """A published plan. It is never changed or deleted."""

    plan = models.CharField(max_length=40)
    version = models.PositiveIntegerField()
    document = models.JSONField(help_text="The plan's terms as published.")
    published_at = models.DateTimeField(default=timezone.now)
    objects = PlanVersionQuerySet.as_manager()

    class Meta:
        ordering = ["plan", "-version"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["plan", "version"], name="plan_version_unique"),
            models.CheckConstraint(condition=Q(version__gte=1), name="plan_version_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.plan} v{self.version}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise ImmutableRow("A published plan version cannot change.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        raise ImmutableRow("A published plan version cannot be deleted.")

    @cached_property
    def terms(self) -> Plan:
        return parse_plan(self.document)


GRANT_SOURCES = [source.value for source in Source if source is not Source.FREE]


class GrantQuerySet(AppendOnlyQuerySet):
    def active(self, *, at: datetime) -> Self:
        return self.filter(Q(ends_at=None) | Q(ends_at__gt=at), starts_at__lte=at)

    def current_or_future(self, *, at: datetime) -> Self:
        """Return the grants that are active at `at` or start later."""
        return self.filter(Q(ends_at=None) | Q(ends_at__gt=at))


class Grant(models.Model):
    """Gives an organization a plan version for a period of time. A grant is ended, never deleted."""

    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="grants")
    plan_version = models.ForeignKey(PlanVersion, on_delete=models.PROTECT, related_name="grants")
    source = models.CharField(max_length=20, choices=[(source, source) for source in GRANT_SOURCES])
    reference = models.CharField(max_length=100, blank=True, help_text="Identifier in the source system, such as a Stripe subscription ID.")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Empty if there is no scheduled end.")
    anchor = models.DateTimeField(help_text="Usage months are counted from this time.")
    reason = models.CharField(max_length=200, blank=True)
    lapsed = models.BooleanField(default=False, help_text="The grant ends or ended because a payment failed.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    objects = GrantQuerySet.as_manager()

    class Meta:
        ordering = ["-starts_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["organization", "ends_at"], name="grant_by_organization"),
            models.Index(fields=["ends_at"], condition=Q(ends_at__isnull=False), name="grant_by_end"),
            models.Index(fields=["reference"], condition=~Q(reference=""), name="grant_by_reference"),
            models.Index(fields=["plan_version", "ends_at"], condition=~Q(source="subscription"), name="grant_by_staff"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(ends_at=None) | Q(ends_at__gte=F("starts_at")), name="grant_ends_after_start"),
            models.CheckConstraint(condition=Q(source__in=GRANT_SOURCES), name="grant_source_valid"),
            models.CheckConstraint(
                condition=~Q(source__in=["gift", "staff"]) | ~Q(reason=""),
                name="grant_reason_required",
            ),
            models.UniqueConstraint(
                fields=["organization", "source", "reference", "plan_version"],
                condition=Q(ends_at=None) & ~Q(reference=""),
                name="grant_unique_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan_version} by {self.source}"

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        raise ImmutableRow("A grant is ended, not deleted.")


class OverrideQuerySet(AppendOnlyQuerySet):
    def current_or_future(self, *, at: datetime) -> Self:
        return self.filter(Q(ends_at=None) | Q(ends_at__gt=at), ended_at=None)


class Override(models.Model):
    """Gives one organization another value of one feature, with a reason and an optional end. The newest active override applies."""

    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="overrides")
    feature = models.CharField(max_length=60)
    value = models.JSONField(
        null=True, blank=True, help_text="true or false for a boolean feature, a number otherwise. Empty means unlimited."
    )
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Empty if there is no scheduled end.")
    reason = models.CharField(max_length=200)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)
    objects = OverrideQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(reason=""), name="override_reason_required"),
            models.UniqueConstraint(fields=["organization", "feature"], condition=Q(ended_at=None), name="override_unique_active"),
        ]

    def __str__(self) -> str:
        return f"{self.feature} = {'unlimited' if self.value is None else self.value}"

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        raise ImmutableRow("An override is ended, not deleted.")
