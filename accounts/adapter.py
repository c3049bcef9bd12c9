"""The django-allauth adapter: redirects, emails and limits of sign-up and sign-in."""

import time
from typing import Any

from allauth.account import app_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.internal import ratelimit
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from contextmcp.common.emails import send_email
from contextmcp.common.locale import localized_for
from contextmcp.common.middleware import address_of

from . import account_emails, known_browsers
from .models import User
from .selectors import sign_in_addresses
from .services.addresses import undo_url
from .services.invitations import invited_address

# Session key of the token of an invitation. It is set when a visitor opens the invitation before signing up or signing in.
SESSION_INVITATION = "invitation_token"
# Session key of the time of sign-in, in seconds since the epoch.
SESSION_SIGNED_IN_AT = "signed_in_at"
# Session key of the last recorded activity, in seconds since the epoch.
SESSION_LAST_SEEN_AT = "last_seen_at"
# Placeholder for clients without a known address, such as those of a Unix socket.
NO_ADDRESS = "0.0.0.0"  # noqa: S104 - not used as a listen address


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def get_signup_redirect_url(self, request: HttpRequest) -> str:
        return self.get_login_redirect_url(request)

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """Return the page of the invitation that the user came from, so that they can accept it, or the default URL."""
        token = request.session.get(SESSION_INVITATION)
        return f"/invitations/{token}/" if token else str(super().get_login_redirect_url(request))

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        """Return a link at PUBLIC_URL. The request's Host header is not used, because a client can forge it."""
        return f"{settings.PUBLIC_URL}{reverse('account_confirm_email', args=[emailconfirmation.key])}"

    def get_reset_password_from_key_url(self, key: str) -> str:
        path = reverse("account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "KEY"})
        return f"{settings.PUBLIC_URL}{path.replace('UID-KEY', key)}"

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Store the message for delivery, in the user's language. `template_prefix` is a path such as "account/email/password_changed"."""
        name = template_prefix.rpartition("/")[2]
        user = context.get("user") or User.objects.filter(email__iexact=email).first()
        with localized_for(user):
            content = account_emails.render(name, {**context, "email": email})
            if content is None:
                raise LookupError(f"There is no content for the email {template_prefix}.")
            send_email(content, to=email, category=name)

    def send_notification_mail(
        self, template_prefix: str, user: Any, context: dict[str, Any] | None = None, email: str | None = None
    ) -> None:
        """Notify the user of a change to their account. After an email change, both addresses are notified; the old one can undo it."""
        context = {**(context or {}), "user": user}
        if template_prefix == "account/email/email_changed" and email:
            super().send_notification_mail(template_prefix, user, {**context, "undo_url": undo_url(user, email)}, email)
            template_prefix, email = "account/email/email_changed_to", str(context["to_email"])
        super().send_notification_mail(template_prefix, user, context, email)

    def post_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> HttpResponse:
        """Notify the user of a sign-in with a browser that is new to them."""
        response: HttpResponse = super().post_login(request, user, **kwargs)
        known_browsers.note_sign_in(request, response, user)
        return response

    def is_email_verified(self, request: HttpRequest, email: str) -> bool:
        """Return whether the session has a valid invitation that was sent to `email`, which proves access to that mailbox."""
        return invited_address(request.session.get(SESSION_INVITATION)) == email.lower()

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Count failed sign-ins per account and network, so that an attacker cannot lock the owner out."""
        return f"{super()._get_login_attempts_cache_key(request, **credentials)}:{ratelimit.get_ip(request)}"

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Raise `ValidationError` after too many failed sign-ins from this network, or for this account from unknown networks."""
        super().pre_authenticate(request, **credentials)
        email = str(credentials.get("email", "")).lower()
        self._elsewhere_usage = ratelimit.consume(request, app="allauth.account", action="login_failed_elsewhere", key=email)
        if not self._elsewhere_usage and ratelimit.get_ip(request) not in {ratelimit.truncate_ip(ip) for ip in sign_in_addresses(email)}:
            raise self.validation_error("too_many_login_attempts")

    def _rollback_login_failed_rl_usage(self) -> None:
        super()._rollback_login_failed_rl_usage()
        if self._elsewhere_usage:
            self._elsewhere_usage.rollback()

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the client's address. Clients without an address share their limits."""
        return address_of(request) or NO_ADDRESS

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """Return whether the sign-in of this session is older than ACCOUNT_REAUTHENTICATION_TIMEOUT."""
        signed_in_at = self.request.session.get(SESSION_SIGNED_IN_AT, 0)
        return bool(time.time() - signed_in_at >= app_settings.REAUTHENTICATION_TIMEOUT)
