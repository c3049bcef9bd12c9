"""Forms of the account pages."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.roles import SCOPE_TITLES, Access, Role
from accounts.types import Caller
from contextmcp.common.clock import now
from contextmcp.common.errors import ValidationFailed

LIFETIMES = [("", _("No expiration")), ("30", _("30 days")), ("90", _("90 days")), ("365", _("1 year"))]
OVERLAPS = [("0", _("Immediately")), ("3600", _("In 1 hour")), ("86400", _("In 24 hours")), ("604800", _("In 7 days"))]


def valid(form: forms.BaseForm) -> dict[str, Any]:
    """Return the form's cleaned data. Raises `ValidationFailed` with its errors."""
    if not form.is_valid():
        raise ValidationFailed(
            errors=[
                {"field": name, "message": _labeled(form.fields[name].label, message) if name in form.fields else message}
                for name, field_errors in form.errors.items()
                for message in field_errors
            ]
        )
    return form.cleaned_data


def _labeled(label: object, message: object) -> str:
    return gettext("%(label)s: %(message)s") % {"label": label, "message": message}


class KeyForm(forms.Form):
    name = forms.CharField(max_length=100, label=_("Name"), initial=_("My first key"), help_text=_("For example: laptop, CI, production"))
    access = forms.ChoiceField(required=False, label=_("Access"), choices=Access.choices, initial=Access.USE, widget=forms.RadioSelect)
    scopes = forms.MultipleChoiceField(required=False, label=_("Scopes"), widget=forms.CheckboxSelectMultiple)
    lifetime = forms.ChoiceField(required=False, label=_("Expiration"), choices=LIFETIMES)

    def __init__(self, caller: Caller, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.caller = caller
        scopes = [(scope, title) for scope, title in SCOPE_TITLES.items() if scope in caller.scopes]
        self.fields["scopes"].choices = scopes  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        if self.cleaned_data.get("access") == Access.CUSTOM and not self.cleaned_data.get("scopes") and "scopes" not in self.errors:
            self.add_error("scopes", _("Select at least one scope."))
        return self.cleaned_data

    def chosen_scopes(self) -> list[str] | None:
        """Return the scopes of the new key, or None for the default ones."""
        access = self.cleaned_data["access"]
        if access and access != Access.CUSTOM:
            return sorted(Access(access).scopes & self.caller.scopes)
        return self.cleaned_data["scopes"] or None

    def expires_at(self) -> datetime | None:
        days = self.cleaned_data["lifetime"]
        return now(self.caller.organization) + timedelta(days=int(days)) if days else None


class RotateForm(forms.Form):
    overlap = forms.ChoiceField(label=_("Old key expires"), choices=OVERLAPS, initial="86400")


class InviteForm(forms.Form):
    email = forms.EmailField(label=_("Email"), widget=forms.EmailInput(attrs={"autocomplete": "off", "placeholder": "grace@example.com"}))
    role = forms.ChoiceField(label=_("Role"), initial=Role.MEMBER)

    def __init__(self, caller: Caller, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = roles(caller)  # type: ignore[attr-defined]


class RoleForm(forms.Form):
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices)


class TransferForm(forms.Form):
    member = forms.UUIDField(label=_("New owner"))


class OrganizationForm(forms.Form):
    name = forms.CharField(max_length=100, label=_("Name"), widget=forms.TextInput(attrs={"autocomplete": "organization"}))


class SettingsForm(OrganizationForm):
    email = forms.EmailField(label=_("Billing email"), help_text=_("Receipts and payment reminders are sent here."))


class CloseForm(forms.Form):
    name = forms.CharField(label=_("Organization name"), widget=forms.TextInput(attrs={"autocomplete": "off"}))


def roles(caller: Caller) -> list[tuple[str, str]]:
    """Return the roles that this member can assign, as form choices."""
    owner = "organization:manage" in caller.permissions
    return [(value, str(label)) for value, label in Role.choices if owner or value != Role.OWNER]
