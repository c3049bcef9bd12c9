"""The forms that change or set a password, with this product's labels."""

from typing import Any

from allauth.account.forms import ChangePasswordForm as AllauthChangePasswordForm
from allauth.account.forms import SetPasswordForm as AllauthSetPasswordForm
from django import forms
from django.utils.translation import gettext_lazy as _

_ADVICE = _("Use at least 12 characters. Avoid common passwords.")


def _label(form: forms.Form, labels: dict[str, Any]) -> None:
    """Label the fields. allauth repeats the label as a placeholder, and lists each rule for passwords."""
    for name, label in labels.items():
        form.fields[name].label = label
        form.fields[name].widget.attrs.pop("placeholder", None)
    form.fields["password1"].help_text = _ADVICE


class ChangePasswordForm(AllauthChangePasswordForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        labels = {"oldpassword": _("Current password"), "password1": _("New password"), "password2": _("Confirm new password")}
        _label(self, labels)


class SetPasswordForm(AllauthSetPasswordForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _label(self, {"password1": _("Password"), "password2": _("Confirm password")})
