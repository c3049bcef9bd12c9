"""How sign-up, sign-in and their mails behave here (django-allauth)."""

import time
from typing import Any

from allauth.account import app_settings
from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from contextmcp.common.emails import label
from contextmcp.common.middleware import address_of

# The site's invitation page leaves the token here before it sends a newcomer to the sign-up form.
SESSION_INVITATION = "invitation_token"
# When this session signed in, in seconds since the epoch.
SESSION_SIGNED_IN_AT = "signed_in_at"


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def get_signup_redirect_url(self, request: HttpRequest) -> str:
        return self.get_login_redirect_url(request)

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """Whoever came by an invitation goes back to it; it is they who accept, not the form."""
        token = request.session.get(SESSION_INVITATION)
        return f"/invitations/{token}/" if token else str(super().get_login_redirect_url(request))

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        """Links in mails lead to the address users know, whatever Host header the request came with."""
        return f"{settings.PUBLIC_URL}{reverse('account_confirm_email', args=[emailconfirmation.key])}"

    def get_reset_password_from_key_url(self, key: str) -> str:
        path = reverse("account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "KEY"})
        return f"{settings.PUBLIC_URL}{path.replace('UID-KEY', key)}"

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Store the message for delivery. `template_prefix` is such as "account/email/password_reset_key"."""
        message = self.render_mail(template_prefix, email, {**context, "public_url": settings.PUBLIC_URL})
        label(message, template_prefix.rpartition("/")[2])
        message.send()

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the client's address as everything else here sees it. Without one, such clients share their limits; none is refused."""
        return address_of(request) or "unknown"

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """Ask nobody for the password who signed in a moment ago."""
        signed_in_at = self.request.session.get(SESSION_SIGNED_IN_AT, 0)
        return bool(time.time() - signed_in_at >= app_settings.REAUTHENTICATION_TIMEOUT)
