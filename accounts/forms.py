"""Forms for sign-up, additional email addresses, password resets and service keys."""

from datetime import datetime
from typing import Any
from uuid import uuid4

from allauth.account.forms import AddEmailForm as AllauthAddEmailForm
from allauth.account.forms import ResetPasswordForm as AllauthResetPasswordForm
from allauth.account.forms import SignupForm as AllauthSignupForm
from allauth.account.internal.flows.signup import prevent_enumeration
from allauth.account.models import EmailAddress
from allauth.core import context
from django import forms
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from contextmcp.common.admin_forms import ReasonModelForm
from contextmcp.common.clock import now
from contextmcp.common.errors import ValidationFailed
from contextmcp.common.ids import uuid7
from contextmcp.common.text import translated

from . import audit
from .adapter import SESSION_INVITATION
from .manager import AuthManager
from .models import ServiceKey, User
from .selectors import is_registered
from .service_principals import SCOPES


class ServiceKeyForm(ReasonModelForm):
    scopes = forms.MultipleChoiceField(choices=[(scope, scope) for scope in SCOPES], widget=forms.CheckboxSelectMultiple, initial=SCOPES)
    # The ID of the key to create, so that a form that is submitted twice (such as by reloading) creates one key.
    submission = forms.UUIDField(initial=uuid7, widget=forms.HiddenInput)

    class Meta:
        model = ServiceKey
        fields = ("name", "scopes", "expires_at")

    def clean_expires_at(self) -> datetime | None:
        expires_at: datetime | None = self.cleaned_data["expires_at"]
        if expires_at is not None and expires_at <= now():
            raise forms.ValidationError("Enter a time in the future.")
        return expires_at


class AddEmailForm(AllauthAddEmailForm):  # type: ignore[misc]
    """Require a confirmed address before another one is added.

    Otherwise, a person who signed up with someone else's address could add their own and keep access after the owner of the address
    resets the password.
    """

    def clean_email(self) -> str:
        if not EmailAddress.objects.filter(user=self.user, verified=True).exists():
            raise forms.ValidationError(
                gettext("Confirm %(email)s first. The link is in the email that we sent you.") % {"email": self.user.email}
            )
        return str(super().clean_email())


class ResetPasswordForm(AllauthResetPasswordForm):  # type: ignore[misc]
    """Resets the password only of accounts that sign in with the address or have confirmed it."""

    users: list[User]

    def clean_email(self) -> str:
        email = str(super().clean_email())
        self.users = [
            user
            for user in self.users
            if user.email.lower() == email.lower() or EmailAddress.objects.filter(user=user, email__iexact=email, verified=True).exists()
        ]
        return email


class SignupForm(AllauthSignupForm):  # type: ignore[misc]
    organization = forms.CharField(
        label=_("Organization"),
        max_length=100,
        widget=forms.TextInput(attrs={"placeholder": _("Your company or team"), "autocomplete": "organization"}),
    )
    field_order = ("email", "password1", "organization")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Invited users join an existing organization and do not need one of their own.
        if context.request is not None and context.request.session.get(SESSION_INVITATION):
            del self.fields["organization"]

    def clean_organization(self) -> str:
        try:
            return AuthManager.clean_name(self.cleaned_data["organization"])
        except ValidationFailed as error:
            raise forms.ValidationError(translated(error.details["errors"][0]["message"])) from None

    def validate_unique_email(self, value: str) -> str:
        self.account_already_exists = is_registered(value)
        return value

    def try_save(self, request: HttpRequest) -> tuple[User | None, HttpResponse | None]:
        """Create the account.

        If an account with this address exists, take as long as a new sign-up would, notify the owner, and return the same response, so
        that the response does not reveal that the account exists.

        Of two concurrent sign-ups with one address, the second violates the unique constraint and is handled like an existing account.
        """
        try:
            if not self.account_already_exists:
                return self.save(request), None
            self._rehearse(request)
        except IntegrityError:
            pass
        return None, prevent_enumeration(request, email=self.cleaned_data["email"])

    def _rehearse(self, request: HttpRequest) -> None:
        """Create an account with a random address and roll it back, so that the response time does not reveal existing accounts."""
        email = self.cleaned_data["email"]
        self.cleaned_data["email"] = f"{uuid4().hex}@rehearsal.invalid"
        self.account_already_exists = False
        try:
            with transaction.atomic():
                self.save(request)
                transaction.set_rollback(True)
        finally:
            self.cleaned_data["email"] = email

    def save(self, request: HttpRequest) -> User:
        """Create the user, the organization and the owner's membership in one transaction."""
        with transaction.atomic():
            user: User = super().save(request)
        return user

    def custom_signup(self, request: HttpRequest, user: User) -> None:
        audit.record("user.signed_up", organization=None, actor=user, target=user.email)
        if "organization" in self.fields:
            AuthManager.create_organization(user, self.cleaned_data["organization"])
