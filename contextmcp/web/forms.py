"""Forms of the account pages."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.roles import DEFAULT_KEY_SCOPES, Role
from accounts.types import Caller
from contextmcp.common.clock import now
from contextmcp.common.errors import ValidationFailed

LIFETIMES = [("", "No expiration"), ("30", "30 days"), ("90", "90 days"), ("365", "1 year")]
OVERLAPS = [("0", "Immediately"), ("3600", "In 1 hour"), ("86400", "In 24 hours"), ("604800", "In 7 days")]


def valid(form: forms.BaseForm) -> dict[str, Any]:
    """Return the form's cleaned data. Raises `ValidationFailed` with its errors."""
    if not form.is_valid():
        raise ValidationFailed(
            errors=[
                {"field": name, "message": f"{form.fields[name].label}: {message}" if name in form.fields else message}
                for name, field_errors in form.errors.items()
                for message in field_errors
            ]
        )
    return form.cleaned_data


class KeyForm(forms.Form):
    name = forms.CharField(max_length=100, label="Name", initial="My first key", help_text="For example: laptop, CI, production")
    scopes = forms.MultipleChoiceField(
        required=False,
        label="Scopes",
        widget=forms.CheckboxSelectMultiple,
        help_text=f"If none are selected, the key gets {', '.join(sorted(DEFAULT_KEY_SCOPES))}. Select more only where a tool needs them.",
    )
    lifetime = forms.ChoiceField(required=False, label="Expiration", choices=LIFETIMES)

    def __init__(self, caller: Caller, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.caller = caller
        self.fields["scopes"].choices = [(scope, scope) for scope in sorted(caller.scopes)]  # type: ignore[attr-defined]

    def expires_at(self) -> datetime | None:
        days = self.cleaned_data["lifetime"]
        return now(self.caller.organization) + timedelta(days=int(days)) if days else None


class RotateForm(forms.Form):
    overlap = forms.ChoiceField(label="Old key expires", choices=OVERLAPS, initial="86400")


class InviteForm(forms.Form):
    email = forms.EmailField(label="Email", widget=forms.EmailInput(attrs={"autocomplete": "off", "placeholder": "grace@example.com"}))
    role = forms.ChoiceField(label="Role", initial=Role.MEMBER)

    def __init__(self, caller: Caller, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = roles(caller)  # type: ignore[attr-defined]


class RoleForm(forms.Form):
    role = forms.ChoiceField(label="Role", choices=Role.choices)


class OrganizationForm(forms.Form):
    name = forms.CharField(max_length=100, label="Name", widget=forms.TextInput(attrs={"autocomplete": "organization"}))


class SettingsForm(OrganizationForm):
    email = forms.EmailField(label="Billing email", help_text="Receipts and payment reminders are sent here.")


class CloseForm(forms.Form):
    name = forms.CharField(label=_("Organization name"), widget=forms.TextInput(attrs={"autocomplete": "off"}))


def roles(caller: Caller) -> list[tuple[str, str]]:
    """Return the roles that this member can assign, as form choices."""
    owner = "organization:manage" in caller.permissions
    return [(value, label) for value, label in Role.choices if owner or value != Role.OWNER]
