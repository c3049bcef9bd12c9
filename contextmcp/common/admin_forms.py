"""The reason that staff enter for a change, and forms that require it."""

from django import forms
from unfold.widgets import UnfoldAdminTextInputWidget


def reason_field() -> forms.CharField:
    """Return the field for the reason, which the audit log records."""
    return forms.CharField(
        max_length=200,
        label="Reason",
        help_text="Recorded in the audit log. For example, a link to the support ticket.",
        widget=UnfoldAdminTextInputWidget,
        error_messages={"required": "Enter a reason."},
    )


class ReasonForm(forms.Form):
    reason = reason_field()


class ReasonModelForm(forms.ModelForm):  # type: ignore[type-arg]
    """The form of an admin page that changes money, rights or plans. Its class lists `reason` after the fields of the model."""

    reason = reason_field()
