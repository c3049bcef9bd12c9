"""The tables of the baselines. Their columns are as wide as the product's, so that the database does the same work."""

from django.db import models
from django.db.models.functions import Now


class Quota(models.Model):
    organization_id = models.IntegerField()
    feature = models.CharField(max_length=64)
    period = models.CharField(max_length=10)
    used = models.BigIntegerField(default=0)
    limit = models.BigIntegerField(default=10**12)

    class Meta:
        unique_together = [("organization_id", "feature", "period")]


class Event(models.Model):
    organization_id = models.UUIDField()
    feature = models.TextField()
    amount = models.BigIntegerField()
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(db_default=Now())
    key_id = models.UUIDField()
    member_id = models.BigIntegerField()
    idempotency_key = models.TextField()
    properties = models.JSONField(null=True)

    class Meta:
        unique_together = [("organization_id", "idempotency_key")]


class Hour(models.Model):
    organization_id = models.IntegerField()
    feature = models.TextField()
    bucket = models.DateTimeField()
    amount = models.BigIntegerField()

    class Meta:
        unique_together = [("organization_id", "bucket", "feature")]


class Hook(models.Model):
    id = models.CharField(primary_key=True, max_length=255)
    type = models.CharField(max_length=120)
    payload = models.JSONField()
    received_at = models.DateTimeField(db_default=Now())
