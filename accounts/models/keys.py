"""API keys of customers, and service keys of the vendor."""

from datetime import datetime
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from contextmcp.common.ids import uuid7

from .organizations import Membership, Organization
from .users import User


class ApiKey(models.Model):
    """An API key of an organization. Only hashes of the key are stored."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="api_keys")
    # The member whose role limits the key's scopes. Null after the member left: the key is disabled until an admin takes it over.
    creator = models.ForeignKey(Membership, on_delete=models.SET_NULL, null=True, blank=True, related_name="api_keys")
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    public_id = models.CharField(max_length=12, unique=True, editable=False)
    bcrypt_hash = models.CharField(max_length=60, editable=False)
    hmac = models.BinaryField(max_length=32, editable=False)
    hmac_version = models.PositiveSmallIntegerField(editable=False)
    name = models.CharField(max_length=100)
    scopes = ArrayField(models.CharField(max_length=32), default=list)
    environment = models.CharField(max_length=4, choices=[("live", "live"), ("test", "test")])
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    rotated_from = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="successors")
    expiry_email_at = models.DateTimeField(null=True, editable=False, help_text="When its creator was reminded that it expires.")

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name = "API key"
        permissions: ClassVar = [
            ("revoke_apikey", "Can revoke an API key"),
            ("reassign_apikey", "Can give API keys to another member"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["-id"], condition=~Q(revoked_at=None), name="key_revoked"),
            models.Index(fields=["expires_at"], condition=Q(revoked_at=None, expiry_email_at=None), name="key_expiring"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.hint})"

    @property
    def hint(self) -> str:
        """Return the beginning of the key for pages. It is taken from the public ID and contains no part of the secret."""
        return f"cmcp_sk_{self.environment}_{self.public_id[:6]}…"

    def status(self, present: datetime) -> str:
        """Return active, expired, revoked or orphaned (its creator left)."""
        if self.revoked_at:
            return "revoked"
        if self.expires_at and self.expires_at <= present:
            return "expired"
        return "active" if self.creator_id else "orphaned"


class ServiceKey(models.Model):
    """A credential of the vendor's own servers, which acts for the customer that each request names."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    public_id = models.CharField(max_length=12, unique=True, editable=False)
    bcrypt_hash = models.CharField(max_length=60, editable=False)
    hmac = models.BinaryField(max_length=32, editable=False)
    hmac_version = models.PositiveSmallIntegerField(editable=False)
    name = models.CharField(max_length=100)
    scopes = ArrayField(models.CharField(max_length=32), default=list)
    environment = models.CharField(max_length=4, choices=[("live", "live"), ("test", "test")], editable=False)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, editable=False, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    rotated_from = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, editable=False, related_name="successors")

    class Meta:
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return f"{self.name} (cmcp_svc_{self.environment}_{self.public_id[:6]}…)"
