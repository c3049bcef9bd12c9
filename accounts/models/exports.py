"""Exports of an organization's data, stored in the database so that each web process can send them (ADR-024)."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from contextmcp.common.ids import uuid7

from .organizations import Organization
from .users import User


class DataExport(models.Model):
    """One export. A job builds its ZIP file, and its owners can download it until `expires_at`."""

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "In progress"
        READY = "ready", "Ready"
        FAILED = "failed", "Failed"

    UNFINISHED: ClassVar = (State.QUEUED, State.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="data_exports", db_index=False)
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True, db_index=True)
    size = models.BigIntegerField(default=0, help_text="Size of the file in bytes.")

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        indexes: ClassVar = [models.Index(fields=["organization", "-created_at", "-id"], name="export_by_organization")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization"], condition=Q(state__in=["queued", "running"]), name="export_unique_unfinished"),
            models.CheckConstraint(
                condition=~Q(state="ready") | Q(finished_at__isnull=False, expires_at__isnull=False), name="export_ready_expires"
            ),
        ]

    def __str__(self) -> str:
        return f"Export of {self.organization_id}"


class DataExportChunk(models.Model):
    """A part of the file of an export."""

    export = models.ForeignKey(DataExport, on_delete=models.CASCADE, related_name="chunks", db_index=False)
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["export", "number"], name="export_chunk_unique")]

    def __str__(self) -> str:
        return f"{self.export_id} {self.number}"
