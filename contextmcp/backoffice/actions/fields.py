"""Form fields of staff actions, with the admin's styles."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from unfold.widgets import (
    INPUT_CLASSES,
    UnfoldAdminEmailInputWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from accounts.models import Organization
from contextmcp.common.clock import now
from contextmcp.common.money import decimal_amount, format_amount

_INPUT = " ".join(INPUT_CLASSES)


def text_field(label: str, **options: Any) -> forms.CharField:
    return forms.CharField(label=label, widget=UnfoldAdminTextInputWidget, **options)


def email_field(label: str, **options: Any) -> forms.EmailField:
    return forms.EmailField(label=label, widget=UnfoldAdminEmailInputWidget, **options)


def choice_field(label: str, choices: Any = (), **options: Any) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, choices=choices, widget=UnfoldAdminSelectWidget, **options)


def integer_field(label: str, **options: Any) -> forms.IntegerField:
    return forms.IntegerField(label=label, widget=UnfoldAdminIntegerFieldWidget, **options)


def checkbox(label: str, **options: Any) -> forms.BooleanField:
    return forms.BooleanField(label=label, required=False, widget=UnfoldBooleanWidget, **options)


def date_field(label: str, **options: Any) -> forms.DateField:
    """Return a field for a day. The browser shows its own date picker."""
    widget = forms.DateInput(attrs={"type": "date", "class": _INPUT}, format="%Y-%m-%d")
    return forms.DateField(label=label, widget=widget, input_formats=["%Y-%m-%d"], **options)


def end_of_day(day: date) -> datetime:
    """Return the end of a day in UTC, as the exclusive end of a period that includes the day."""
    return datetime.combine(day, time(), UTC) + timedelta(days=1)


def future_day(organization: Organization, day: date) -> date:
    """Return `day`. Raises `ValidationError` if it has passed on the organization's clock, or is more than ten years away."""
    today = now(organization).date()
    if day < today:
        raise forms.ValidationError("Enter a date in the future.")
    if day > today + timedelta(days=3653):
        raise forms.ValidationError("Enter a date within the next ten years.")
    return day


def money_field(label: str, **options: Any) -> forms.DecimalField:
    """Return a field for an amount in units of a currency ("9.00"). Convert it with `minor_units`."""
    widget = forms.NumberInput(attrs={"step": "any", "inputmode": "decimal", "class": _INPUT})
    return forms.DecimalField(label=label, widget=widget, min_value=Decimal("0.001"), max_digits=12, decimal_places=3, **options)


def minor_units(amount: Decimal, currency: str) -> int:
    """Return an amount in minor units: 9.00 usd is 900, 900 jpy is 900. Raises `ValidationError` if it has too many decimals."""
    minor = amount / decimal_amount(1, currency)
    if minor != minor.to_integral_value():
        raise forms.ValidationError(f"Enter an amount such as {format_amount(1234, currency)}.")
    return int(minor)
