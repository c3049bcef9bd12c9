"""Responses that are stored for repeats, and their retention."""

from datetime import timedelta

import pytest

from contextmcp.common.clock import now
from contextmcp.common.models import IdempotencyRecord
from contextmcp.common.tasks import IDEMPOTENCY_RETENTION, purge_idempotency_records

pytestmark = pytest.mark.django_db


def stored(key: str, age: timedelta) -> None:
    record = IdempotencyRecord.objects.create(owner="o", key=key, fingerprint="f", status=200, response={})
    IdempotencyRecord.objects.filter(pk=record.pk).update(created_at=now() - age)


def test_records_are_purged_after_a_week() -> None:
    stored("old", IDEMPOTENCY_RETENTION + timedelta(minutes=1))
    stored("young", IDEMPOTENCY_RETENTION - timedelta(minutes=1))
    purge_idempotency_records(0)
    assert list(IdempotencyRecord.objects.values_list("key", flat=True)) == ["young"]
