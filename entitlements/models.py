"""Plan versions as published, and who has what because of what."""

from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from .terms import Plan, read
from .types import Source


class Permanent(Exception):
    """This row is history; it is not changed or deleted. A programming error, not a refusal."""


class KeptQuerySet(models.QuerySet[Any]):
    """Rows that cannot be deleted through here; the database refuses it too."""

    def delete(self) -> Any:
        raise Permanent("These rows are kept.")


class PlanVersionQuerySet(KeptQuerySet):
    def newest(self) -> "models.QuerySet[PlanVersion]":
        """Of each plan, the version published last."""
        return self.order_by("plan", "-version").distinct("plan")


class PlanVersion(models.Model):
    """A plan as it was published: never changed, never deleted."""

    plan = models.CharField(max_length=40)
    version = models.PositiveIntegerField()
    document = models.JSONField(help_text="The plan's terms as published.")
    published_at = models.DateTimeField(default=timezone.now)
    objects = PlanVersionQuerySet.as_manager()

    class Meta:
        ordering = ["plan", "-version"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["plan", "version"], name="plan_version_once"),
            models.CheckConstraint(condition=Q(version__gte=1), name="plan_version_from_one"),
        ]

    def __str__(self) -> str:
        return f"{self.plan} v{self.version}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise Permanent("A published plan version never changes.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        raise Permanent("A published plan version is kept.")

    @cached_property
    def terms(self) -> Plan:
        return read(self.document)


GIVEN = [source.value for source in Source if source is not Source.FREE]


class GrantQuerySet(KeptQuerySet):
    def active(self, *, at: datetime) -> Self:
        return self.filter(Q(ends_at=None) | Q(ends_at__gt=at), starts_at__lte=at)

    def standing(self, *, at: datetime) -> Self:
        """Active at that moment or to come."""
        return self.filter(Q(ends_at=None) | Q(ends_at__gt=at))


class Grant(models.Model):
    """This organization has this plan version, from, to, in these periods, because of. It ends; it is not deleted."""

    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="grants")
    plan_version = models.ForeignKey(PlanVersion, on_delete=models.PROTECT, related_name="grants")
    source = models.CharField(max_length=20, choices=[(source, source) for source in GIVEN])
    reference = models.CharField(max_length=100, blank=True, help_text="What it stands for in the system that gave it.")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Empty: until it is ended.")
    anchor = models.DateTimeField(help_text="Monthly periods are counted from here.")
    reason = models.CharField(max_length=200, blank=True)
    owing = models.BooleanField(default=False, help_text="It ends, or ended, because a payment failed.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    objects = GrantQuerySet.as_manager()

    class Meta:
        ordering = ["-starts_at", "-id"]
        indexes: ClassVar = [models.Index(fields=["organization", "ends_at"], name="grant_of_organization")]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(ends_at=None) | Q(ends_at__gte=F("starts_at")), name="grant_ends_after_start"),
            models.CheckConstraint(condition=Q(source__in=GIVEN), name="grant_known_source"),
            models.CheckConstraint(
                condition=~Q(source__in=["gift", "staff"]) | ~Q(reason=""),
                name="grant_given_for_a_reason",
            ),
            models.UniqueConstraint(
                fields=["organization", "source", "reference", "plan_version"],
                condition=Q(ends_at=None) & ~Q(reference=""),
                name="grant_open_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan_version} by {self.source}"

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        raise Permanent("A grant ends; it is not deleted.")


class OverrideQuerySet(KeptQuerySet):
    def standing(self, *, at: datetime) -> Self:
        return self.filter(Q(until=None) | Q(until__gt=at), ended_at=None)


class Override(models.Model):
    """One feature differently for one organization, until, with a reason. The newest standing one of a feature counts."""

    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="overrides")
    feature = models.CharField(max_length=60)
    value = models.JSONField(null=True, blank=True, help_text="true or false for a flag, a number otherwise; empty is unlimited.")
    until = models.DateTimeField(null=True, blank=True, help_text="Empty: until it is ended.")
    reason = models.CharField(max_length=200)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)
    objects = OverrideQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(reason=""), name="override_for_a_reason"),
            models.UniqueConstraint(fields=["organization", "feature"], condition=Q(ended_at=None), name="override_once_at_a_time"),
        ]

    def __str__(self) -> str:
        return f"{self.feature} = {self.value}"

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        raise Permanent("An override ends; it is not deleted.")
