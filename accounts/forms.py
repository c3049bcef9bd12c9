"""The sign-up form: an address, a password, and the name of an organization to own; and the form for further addresses."""

from datetime import datetime
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.forms import AddEmailForm as AllauthAddEmailForm
from allauth.account.forms import ResetPasswordForm as AllauthResetPasswordForm
from allauth.account.forms import SignupForm as AllauthSignupForm
from allauth.account.models import EmailAddress
from allauth.core import context
from django import forms
from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from contextmcp.common.clock import now
from contextmcp.common.errors import ValidationFailed

from . import audit
from .adapter import SESSION_INVITATION
from .manager import AuthManager
from .models import ServiceKey, User
from .service_principals import SCOPES


class ServiceKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    scopes = forms.MultipleChoiceField(choices=[(scope, scope) for scope in SCOPES], widget=forms.CheckboxSelectMultiple, initial=SCOPES)

    class Meta:
        model = ServiceKey
        fields = ("name", "scopes", "expires_at")

    def clean_expires_at(self) -> datetime | None:
        expires_at: datetime | None = self.cleaned_data["expires_at"]
        if expires_at is not None and expires_at <= now():
            raise forms.ValidationError("This is in the past.")
        return expires_at


class AddEmailForm(AllauthAddEmailForm):  # type: ignore[misc]
    """Only beside an address that is confirmed. Who signed up with somebody else's could leave a way back in beside it."""

    def clean_email(self) -> str:
        if not EmailAddress.objects.filter(user=self.user, verified=True).exists():
            raise forms.ValidationError(f"Confirm {self.user.email} first: the link is in your mail.")
        return str(super().clean_email())


class ResetPasswordForm(AllauthResetPasswordForm):  # type: ignore[misc]
    """Reset accounts that sign in with the address or confirmed it: not those that merely claim it as a further address."""

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
        label="Organization",
        max_length=100,
        widget=forms.TextInput(attrs={"placeholder": "Your company or team", "autocomplete": "organization"}),
    )
    field_order = ("email", "password1", "organization")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A newcomer with an invitation joins an organization; one of their own would stay empty.
        if context.request is not None and context.request.session.get(SESSION_INVITATION):
            del self.fields["organization"]

    def clean_organization(self) -> str:
        try:
            return AuthManager.clean_name(self.cleaned_data["organization"])
        except ValidationFailed as error:
            raise forms.ValidationError(error.details["errors"][0]["message"]) from None

    def try_save(self, request: HttpRequest) -> tuple[User | None, HttpResponse | None]:
        """Two sign-ups with one address at the same moment: the second goes back to the form, with what a later one would be told."""
        try:
            return super().try_save(request)  # type: ignore[no-any-return]
        except IntegrityError:
            messages.error(request, get_adapter().error_messages["email_taken"])
            return None, HttpResponseRedirect(request.get_full_path())

    def save(self, request: HttpRequest) -> User:
        """User, organization and ownership: all or none."""
        with transaction.atomic():
            user: User = super().save(request)
        return user

    def custom_signup(self, request: HttpRequest, user: User) -> None:
        audit.record("user.signed_up", organization=None, actor=user, target=user.email)
        if "organization" in self.fields:
            AuthManager.create_organization(user, self.cleaned_data["organization"])
