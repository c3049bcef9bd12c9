"""Send the sign-in emails that staff request for a user: a link to set a password, or a link to confirm an address."""

from allauth.account.models import EmailAddress
from django.http import HttpRequest

from .forms import ResetPasswordForm
from .models import User


def send_reset_link(request: HttpRequest, user: User) -> None:
    """Email a link to set a new password. Earlier links stay valid until the password changes."""
    form = ResetPasswordForm({"email": user.email})
    if form.is_valid():
        form.save(request)


def send_confirmation_link(request: HttpRequest, address: EmailAddress) -> None:
    """Email a link that confirms the address."""
    address.send_confirmation(request)
