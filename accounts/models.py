"""Users, organizations and what joins them; API keys; what happened, and what every process must hear of."""

from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now
from django.utils import timezone
from django.utils.crypto import salted_hmac

from contextmcp.common.ids import uuid7

from .roles import Role


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)


class User(AbstractBaseUser, PermissionsMixin):
    """A person, known by an email address in lower case."""

    email = models.EmailField(unique=True, error_messages={"unique": "A user with that email address already exists."})
    name = models.CharField(max_length=150, blank=True)
    is_staff = models.BooleanField("staff", default=False, help_text="May sign in to this admin.")
    is_active = models.BooleanField("active", default=True, help_text="Unselect this instead of deleting an account.")
    date_joined = models.DateTimeField(default=timezone.now, editable=False)

    session_epoch = models.PositiveIntegerField(default=0, editable=False, help_text="Raising it ends every session of this user.")

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar = []

    class Meta:
        ordering = ["email"]
        permissions: ClassVar = [
            ("verify_email_address", "Can mark an email address as verified"),
            ("reset_second_factor", "Can remove a user's second factor"),
            ("operate_jobs", "Can retry and cancel background jobs"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                Lower("email"),
                name="user_email_whatever_its_case",
                violation_error_message="A user with that email address already exists.",
            )
        ]

    def __str__(self) -> str:
        return self.email

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """Return what a session must carry to be valid. It changes with the password and with `session_epoch`."""
        value = f"{self.password}:{self.session_epoch}"
        return salted_hmac("accounts.User.get_session_auth_hash", value, secret=secret, algorithm="sha256").hexdigest()

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.name or self.email


class Organization(models.Model):
    """Owns everything. It is closed, never deleted."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=60, unique=True)
    email = models.EmailField(help_text="Where bills go. At first the owner's address.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    closed_at = models.DateTimeField(null=True, blank=True, editable=False)
    clock_offset = models.DurationField(
        default=timedelta, editable=False, help_text="How far its Stripe test clock is ahead of real time. Zero outside test mode."
    )
    test_clock_id = models.CharField(max_length=255, blank=True, editable=False)
    members = models.ManyToManyField(User, through="Membership", related_name="organizations")

    class Meta:
        ordering = ["-created_at"]
        permissions: ClassVar = [("close_organization", "Can close an organization")]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["created_at", "id"]
        permissions: ClassVar = [("remove_membership", "Can remove a member from an organization")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "user"], name="membership_once"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="membership_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def pending(self) -> Self:
        """Neither accepted nor revoked; it may have expired."""
        return self.filter(accepted_at=None, revoked_at=None)


class Invitation(models.Model):
    """An offer of membership. Its token is in the mail alone; the row holds a digest."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    token_digest = models.BinaryField(max_length=32, unique=True, editable=False)
    invited_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, editable=False, help_text="When the mail server took it. Empty: it is still queued.")
    accepted_at = models.DateTimeField(null=True, editable=False)
    accepted_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+", editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                "organization", Lower("email"), condition=Q(accepted_at=None, revoked_at=None), name="invitation_one_pending"
            ),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="invitation_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.email} to {self.organization}"


class ApiKey(models.Model):
    """A key of an organization. What it opens with is nowhere here: only what recognises it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="api_keys")
    # The member whose role bounds it. Empty once that member left: the key stops until someone adopts it.
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

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name = "API key"
        permissions: ClassVar = [("revoke_apikey", "Can revoke an API key")]

    def __str__(self) -> str:
        return f"{self.name} ({self.hint})"

    @property
    def hint(self) -> str:
        """Enough to tell keys apart on a page; taken from the public id, so it says nothing about the secret."""
        return f"cmcp_sk_{self.environment}_{self.public_id[:6]}…"

    def status(self, present: datetime) -> str:
        """active, expired, revoked, or orphaned (its creator left)."""
        if self.revoked_at:
            return "revoked"
        if self.expires_at and self.expires_at <= present:
            return "expired"
        return "active" if self.creator_id else "orphaned"


class ServiceKey(models.Model):
    """A credential of the vendor's own servers. It belongs to the deployment and acts for the customer that each request names."""

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


class AuditEvent(models.Model):
    """Something that mattered was changed. Triggers (0003) refuse to update, delete or truncate events."""

    # PROTECT: the database refuses to alter an event, so whom it names cannot be deleted.
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, null=True, related_name="audit_events")
    actor_user = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    actor_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, null=True, related_name="+")
    actor_service_key = models.ForeignKey(ServiceKey, on_delete=models.PROTECT, null=True, related_name="+")
    action = models.CharField(max_length=64, help_text="noun.verb, such as key.revoked.")
    target = models.CharField(max_length=255, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    reason = models.CharField(max_length=200, blank=True, help_text="Why staff did it.")
    address = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["organization", "-created_at"], name="audit_by_organization"),
            # Invitations are limited by recipient, whatever the organization.
            models.Index(fields=["target", "-created_at"], condition=Q(action__startswith="invitation."), name="audit_invitations"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target}".strip()


class Revocation(models.Model):
    """One sequence of "what you remember is no longer true", polled by every process (see `revocations`).

    Triggers write it when a key, membership, organization or user changes; `revocations.announce` does for other kinds.
    The column `xid` (0002) makes polling exact although transactions commit in another order than they number their rows.
    """

    id = models.BigAutoField(primary_key=True)
    organization_id = models.UUIDField(null=True, help_text="Empty: everybody.")
    key_id = models.UUIDField(null=True)
    kind = models.CharField(max_length=20, help_text="key, member, organization, entitlements, ...")
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.key_id or self.organization_id}"
