"""Users."""

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac


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
    # `db_default` allows processes of the previous release to insert users while a new one is deployed.
    language = models.CharField(
        max_length=16, blank=True, default="", db_default="", help_text="A language of settings.LANGUAGES. Empty: the browser's language."
    )
    time_zone = models.CharField(
        max_length=64, blank=True, default="", db_default="", help_text="An IANA time zone, such as Europe/Berlin. Empty: UTC."
    )
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
