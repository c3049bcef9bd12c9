"""The form for a new passkey. It is apart from the other forms, because it imports models of allauth.mfa."""

from typing import Any

from allauth.mfa.webauthn.forms import AddWebAuthnForm
from django.utils.translation import gettext_lazy as _


class AddPasskeyForm(AddWebAuthnForm):  # type: ignore[misc]
    """Creates passkeys by default, which work without the password, and explains the choice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].label = _("Name")
        self.fields["name"].help_text = _("For example: MacBook, phone, blue security key")
        passwordless = self.fields["passwordless"]
        passwordless.initial = True
        passwordless.label = _("Sign in without a password")
        passwordless.help_text = _("Deselect this for hardware keys without a PIN. You can then use the key after your password only.")
