"""Users, organizations, memberships, invitations, API keys, audit events and the invalidation log.

The models of connected apps are in `oauth_models`, those of operating the service in `operations_models`,
and those of staff who view the product as a member in `impersonation_models`.
"""

from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Lower, Now
from django.utils import timezone
from django.utils.crypto import salted_hmac

from contextmcp.common.ids import uuid7

# Django finds the models of an app through this module.
from . import impersonation_models, oauth_models, operations_models  # noqa: F401
from .roles import Role

# The words of an organization's name, in the form of the index that the search of staff uses.
NAME_WORDS = SearchVector("name", config="simple")


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create a superuser. The command line is trusted, so the address counts as confirmed."""
        user = self.create_user(email, password, is_staff=True, is_superuser=True, **fields)
        user.emailaddress_set.create(email=user.email, primary=True, verified=True)  # type: ignore[attr-defined]
        return user

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)


class User(AbstractBaseUser, PermissionsMixin):
    """A person, identified by a lower-case email address."""

    email = models.EmailField(unique=True, error_messages={"unique": "A user with that email address already exists."})
    name = models.CharField(max_length=150, blank=True)
    is_staff = models.BooleanField("staff", default=False, help_text="Allows the user to sign in to this admin.")
    is_active = models.BooleanField("active", default=True, help_text="Deselect this instead of deleting the account.")
    date_joined = models.DateTimeField(default=timezone.now, editable=False)

    session_epoch = models.PositiveIntegerField(default=0, editable=False, help_text="Increasing it ends all sessions of this user.")

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar = []

    class Meta:
        ordering = ["email"]
        indexes: ClassVar = [
            models.Index(fields=["email"], condition=Q(is_staff=True), name="user_staff"),
            models.Index(fields=["email"], condition=Q(is_superuser=True), name="user_superuser"),
            models.Index(fields=["email"], condition=Q(is_active=False), name="user_inactive"),
        ]
        permissions: ClassVar = [
            ("verify_email_address", "Can mark an email address as verified"),
            ("reset_second_factor", "Can remove a user's second factor"),
            ("operate_jobs", "Can retry and cancel background jobs"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                Lower("email"),
                name="user_email_unique_ignoring_case",
                violation_error_message="A user with that email address already exists.",
            )
        ]

    def __str__(self) -> str:
        return self.email

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """Return the hash that valid sessions contain. It changes with the password and with `session_epoch`."""
        value = f"{self.password}:{self.session_epoch}"
        return salted_hmac("accounts.User.get_session_auth_hash", value, secret=secret, algorithm="sha256").hexdigest()

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.name or self.email


class Organization(models.Model):
    """A customer, which owns all other data. An organization is closed, never deleted."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=60, unique=True)
    email = models.EmailField(help_text="Billing address for invoices and receipts. Initially the owner's email address.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    closed_at = models.DateTimeField(null=True, blank=True, editable=False)
    clock_offset = models.DurationField(
        default=timedelta, editable=False, help_text="Difference between the Stripe test clock and real time. Zero outside test mode."
    )
    test_clock_id = models.CharField(max_length=255, blank=True, editable=False)
    members = models.ManyToManyField(User, through="Membership", related_name="organizations")

    class Meta:
        ordering = ["-created_at"]
        permissions: ClassVar = [
            ("close_organization", "Can close an organization"),
            ("reopen_organization", "Can reopen a closed organization"),
        ]
        indexes: ClassVar = [GinIndex(NAME_WORDS, name="organization_by_words")]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """The membership of a user in an organization, with a role."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["created_at", "id"]
        permissions: ClassVar = [
            ("remove_membership", "Can remove a member from an organization"),
            ("transfer_ownership", "Can transfer the ownership of an organization"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "user"], name="membership_unique"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="membership_role_valid"),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def pending(self) -> Self:
        """Return the invitations that are neither accepted nor revoked. They may have expired."""
        return self.filter(accepted_at=None, revoked_at=None)


class Invitation(models.Model):
    """An invitation to join an organization. Only a digest of its token is stored; the token is in the email."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    token_digest = models.BinaryField(max_length=32, unique=True, editable=False)
    invited_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    sent_at = models.DateTimeField(
        null=True, editable=False, help_text="When the mail server accepted the email. Empty while it is queued."
    )
    accepted_at = models.DateTimeField(null=True, editable=False)
    accepted_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+", editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        permissions: ClassVar = [("manage_invitation", "Can resend, extend and revoke invitations")]
        indexes: ClassVar = [models.Index(fields=["email"], opclasses=["varchar_pattern_ops"], name="invitation_by_email")]
        constraints: ClassVar = [
            models.UniqueConstraint(
                "organization", Lower("email"), condition=Q(accepted_at=None, revoked_at=None), name="invitation_unique_pending"
            ),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="invitation_role_valid"),
        ]

    def __str__(self) -> str:
        return f"{self.email} to {self.organization}"


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

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name = "API key"
        permissions: ClassVar = [
            ("revoke_apikey", "Can revoke an API key"),
            ("reassign_apikey", "Can give API keys to another member"),
        ]
        indexes: ClassVar = [models.Index(fields=["-id"], condition=~Q(revoked_at=None), name="key_revoked")]

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


def _truncated(unit: str) -> Func:
    """Return `created_at` truncated to a unit of time in UTC. Unlike `Trunc`, it can be in a migration, and in an index."""
    in_utc = Func(Value("UTC"), F("created_at"), function="timezone", output_field=models.DateTimeField())
    return Func(Value(unit), in_utc, function="date_trunc", output_field=models.DateTimeField())


class AuditEvent(models.Model):
    """An entry of the audit log. Triggers (migration 0003) refuse to update, delete or truncate events."""

    # PROTECT: events cannot be changed, so the rows that they reference cannot be deleted.
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, null=True, related_name="audit_events")
    actor_user = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    actor_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, null=True, related_name="+")
    actor_service_key = models.ForeignKey(ServiceKey, on_delete=models.PROTECT, null=True, related_name="+")
    impersonator = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, db_index=False, related_name="+", help_text="Member of staff who acted as the actor."
    )
    action = models.CharField(max_length=64, help_text="Noun and verb, such as key.revoked.")
    target = models.CharField(max_length=255, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    reason = models.CharField(max_length=200, blank=True, help_text="The reason that staff entered.")
    ip_address = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["organization", "-created_at"], name="audit_by_organization"),
            models.Index(fields=["-created_at", "-id"], name="audit_newest_first"),
            models.Index(fields=["request_id"], condition=~Q(request_id=""), name="audit_by_request"),
            # Used to limit invitations by recipient across organizations.
            models.Index(fields=["target", "-created_at"], condition=Q(action__startswith="invitation."), name="audit_invitations"),
            models.Index(fields=["action", "-created_at", "-id"], name="audit_by_action"),
            models.Index(fields=["target"], opclasses=["varchar_pattern_ops"], name="audit_by_target"),
        ]
        # Recorded once per person and object: views in an hour, refused attempts in a minute.
        constraints: ClassVar = [
            models.UniqueConstraint(
                "actor_user", "target", _truncated("hour"), condition=Q(action="staff.viewed"), name="audit_views_unique"
            ),
            models.UniqueConstraint(
                "actor_user", "target", _truncated("minute"), condition=Q(action="staff.refused"), name="audit_refusals_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target}".strip()


class InvalidationEntry(models.Model):
    """The cache invalidation log, polled by every process (see `invalidation`).

    Triggers write rows when a key, membership, organization or user changes; `invalidation.publish` writes them for other kinds.
    The column `xid` (migration 0002) makes polling exact although transactions do not commit in the order of their row IDs.
    """

    id = models.BigAutoField(primary_key=True)
    organization_id = models.UUIDField(null=True, help_text="Empty if the entry concerns all organizations.")
    key_id = models.UUIDField(null=True)
    kind = models.CharField(max_length=20, help_text="key, member, organization, entitlements, ...")
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.key_id or self.organization_id}"
