"""Connected apps: the access that users granted to OAuth clients, and the tokens that the clients got for it."""

from datetime import datetime
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from contextmcp.common.ids import uuid7


class OAuthGrant(models.Model):
    """One consent: a client may act for a member of an organization, within scopes, at some MCP servers.

    Each consent creates a separate grant, so revoking it disconnects one installation of a client and not those on other machines.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # The member whose role limits the scopes. When they leave the organization, the grant and its tokens are deleted.
    membership = models.ForeignKey("accounts.Membership", on_delete=models.CASCADE, related_name="oauth_grants")
    # The client of allauth.idp.oidc. It is not a foreign key, because the gate does not install that app and the grant must outlive a
    # deleted client.
    client_id = models.CharField(max_length=100, db_index=True)
    client_name = models.CharField(max_length=100)
    scopes = ArrayField(models.CharField(max_length=32), default=list)
    resources = ArrayField(models.CharField(max_length=500), default=list, help_text="Addresses of the MCP servers (RFC 8707).")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)
    # The authorization code of this consent, which the client exchanges for tokens once.
    code_digest = models.BinaryField(max_length=32, unique=True, editable=False)
    code_expires_at = models.DateTimeField(editable=False)
    code_challenge = models.CharField(max_length=128, editable=False)
    redirect_uri = models.TextField(editable=False)
    nonce = models.CharField(max_length=255, blank=True, editable=False)
    redeemed_at = models.DateTimeField(null=True, editable=False, help_text="When the client exchanged its authorization code.")

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name = "connected app"
        permissions: ClassVar = [("revoke_oauthgrant", "Can disconnect an app")]

    def __str__(self) -> str:
        return self.client_name


class OAuthToken(models.Model):
    """An access or refresh token of a grant. Only its SHA-256 digest is stored: it has 262 random bits and cannot be guessed."""

    class Kind(models.TextChoices):
        ACCESS = "access", "Access token"
        REFRESH = "refresh", "Refresh token"

    grant = models.ForeignKey(OAuthGrant, on_delete=models.CASCADE, related_name="tokens")
    kind = models.CharField(max_length=7, choices=Kind.choices)
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=32), default=list)
    resources = ArrayField(models.CharField(max_length=500), default=list)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(db_index=True)
    replaced_at = models.DateTimeField(null=True, help_text="When a refresh token was exchanged for the next one.")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.grant_id}"

    def is_current(self, present: datetime) -> bool:
        """Return whether the token has neither expired nor been exchanged for another one."""
        return self.replaced_at is None and present < self.expires_at
