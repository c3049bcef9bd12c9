"""Forms for adding grants and overrides in the admin.

The services validate the same rules again. The forms validate them so that the page keeps the input when it shows an error.
"""

from typing import Any

from django import forms
from django.forms.fields import InvalidJSONInput
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from accounts.models import Organization
from contextmcp.common.clock import now

from .catalog import CATALOG
from .catalog_schema import valid_value
from .models import Grant, Override
from .types import Kind, Source

MAX_VALUE_LENGTH = 20
MANUAL_SOURCES = [Source.GIFT, Source.TRIAL, Source.STAFF]


class _OpenOrganizationForm(forms.ModelForm):  # type: ignore[type-arg]
    def clean_organization(self) -> Organization:
        organization: Organization = self.cleaned_data["organization"]
        if organization.closed_at is not None:
            raise forms.ValidationError("This organization is closed.")
        return organization


class GrantForm(_OpenOrganizationForm):
    source = forms.ChoiceField(choices=[(source.value, source.value) for source in MANUAL_SOURCES], widget=UnfoldAdminSelectWidget)
    reason = forms.CharField(max_length=200, help_text="Shown in the organization's history.", widget=UnfoldAdminTextInputWidget)

    class Meta:
        model = Grant
        fields = ("organization", "plan_version", "source", "starts_at", "ends_at", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The form of a read-only grant page has no fields.
        if starts_at := self.fields.get("starts_at"):
            starts_at.required = False
            starts_at.help_text = "Leave empty to start now."
            starts_at.initial = None

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if data.get("organization") and data.get("ends_at"):
            starts = data.get("starts_at") or now(data["organization"])
            if data["ends_at"] <= starts:
                self.add_error("ends_at", "The end must be after the start.")
        return data


class _ValueField(forms.JSONField):
    """A JSON value of limited length.

    Without the limit, long numbers and deep nesting would raise errors other than `JSONDecodeError`, which Django does not handle.
    """

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and len(value) > MAX_VALUE_LENGTH:
            raise forms.ValidationError("Enter a whole number, true, or false.")
        return super().to_python(value)

    def bound_data(self, data: Any, initial: Any) -> Any:
        is_too_long = isinstance(data, str) and len(data) > MAX_VALUE_LENGTH
        return InvalidJSONInput(data) if is_too_long else super().bound_data(data, initial)


class OverrideForm(_OpenOrganizationForm):
    feature = forms.ChoiceField(
        choices=[(feature.name, f"{feature.title} ({feature.kind})") for feature in CATALOG.features], widget=UnfoldAdminSelectWidget
    )
    value = _ValueField(
        required=False, widget=UnfoldAdminTextInputWidget, help_text="true or false for a boolean feature, a whole number for all others."
    )
    unlimited = forms.BooleanField(
        required=False, widget=UnfoldBooleanWidget, help_text="No limit. Leave the value empty. Boolean features cannot be unlimited."
    )
    reason = forms.CharField(max_length=200, widget=UnfoldAdminTextInputWidget)

    class Meta:
        model = Override
        fields = ("organization", "feature", "value", "ends_at", "reason")

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if "value" in data and "feature" in data and (error := self.value_error(data)):
            self.add_error("value", error)
        if data.get("organization") and data.get("ends_at") and data["ends_at"] <= now(data["organization"]):
            self.add_error("ends_at", "Enter a time in the future.")
        return data

    @staticmethod
    def value_error(data: dict[str, Any]) -> str:
        declared = CATALOG.feature(data["feature"])
        assert declared is not None
        flag, value, unlimited = declared.kind is Kind.BOOLEAN, data["value"], data["unlimited"]
        if value is not None and unlimited:
            return "Enter a value or check Unlimited, not both."
        if value is None and not unlimited:
            return "Enter true or false." if flag else "Enter a whole number, or check Unlimited."
        if not valid_value(declared.kind, value):
            return "Enter true or false." if flag else "Enter a whole number that is 0 or larger."
        return ""
