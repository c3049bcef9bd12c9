"""What the pages' forms may say."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django import forms

from accounts.roles import DEFAULT_KEY_SCOPES, Role
from accounts.types import Caller
from billing.types import OverageState
from contextmcp.common.clock import now
from contextmcp.common.errors import ValidationFailed
from contextmcp.common.money import decimal_amount

LIFETIMES = [("", "Never"), ("30", "In 30 days"), ("90", "In 90 days"), ("365", "In a year")]
OVERLAPS = [("0", "At once"), ("3600", "In an hour"), ("86400", "In a day"), ("604800", "In a week")]


def valid(form: forms.BaseForm) -> dict[str, Any]:
    """What the form says, or `ValidationFailed` with its errors."""
    if not form.is_valid():
        raise ValidationFailed(
            errors=[
                {"field": name, "message": f"{form.fields[name].label}: {message}" if name in form.fields else message}
                for name, found in form.errors.items()
                for message in found
            ]
        )
    return form.cleaned_data


class KeyForm(forms.Form):
    name = forms.CharField(
        max_length=100, label="Name", initial="My first key", help_text="Say where it is used: laptop, CI, a colleague's editor."
    )
    scopes = forms.MultipleChoiceField(
        required=False,
        label="It may",
        widget=forms.CheckboxSelectMultiple,
        help_text=f"None ticked: {', '.join(sorted(DEFAULT_KEY_SCOPES))}. Tick more only where a tool needs them.",
    )
    lifetime = forms.ChoiceField(required=False, label="Expires", choices=LIFETIMES)

    def __init__(self, caller: Caller, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.caller = caller
        self.fields["scopes"].choices = [(scope, scope) for scope in sorted(caller.scopes)]  # type: ignore[attr-defined]

    def expires_at(self) -> datetime | None:
        days = self.cleaned_data["lifetime"]
        return now(self.caller.organization) + timedelta(days=int(days)) if days else None


class RotateForm(forms.Form):
    overlap = forms.ChoiceField(label="The old key stops", choices=OVERLAPS, initial="86400")


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
    email = forms.EmailField(label="Billing email", help_text="Receipts and reminders go there.")


class CloseForm(forms.Form):
    name = forms.CharField(label="Name of the organization")


class CheckoutForm(forms.Form):
    plan = forms.CharField(max_length=40)
    interval = forms.ChoiceField(choices=[("month", "Monthly"), ("year", "Yearly")])
    promotion_code = forms.CharField(max_length=100, required=False, label="Promotion code")


class ChangeForm(CheckoutForm):
    proration_date = forms.DateTimeField(required=False)


class OverageForm(forms.Form):
    cap = forms.DecimalField(
        label="At most, a month",
        min_value=Decimal("0.01"),
        max_value=Decimal(1_000_000),
        decimal_places=2,
        widget=forms.NumberInput(attrs={"step": "0.01", "inputmode": "decimal"}),
    )

    @classmethod
    def of(cls, state: OverageState) -> "OverageForm":
        return cls(initial={"cap": decimal_amount(state.cap or 2000, state.currency)})

    @staticmethod
    def minor(cap: Decimal, currency: str) -> int:
        """20.00 to 2000; in yen 20 to 20."""
        return int(cap / decimal_amount(1, currency))


def roles(caller: Caller) -> list[tuple[str, str]]:
    """The roles this member may give."""
    owner = "organization:manage" in caller.permissions
    return [(value, label) for value, label in Role.choices if owner or value != Role.OWNER]
