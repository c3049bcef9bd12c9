"""Signal receivers that audit sign-ins, failures, and changes of passwords, addresses and second factors."""

import logging
import time
from typing import Any

from allauth.account import signals as account
from allauth.account.models import EmailAddress
from allauth.mfa import signals as mfa
from django.contrib.auth import signals as auth
from django.dispatch import receiver
from django.http import HttpRequest

from contextmcp.common.emails import send_email
from contextmcp.common.locale import localized_for

from . import account_emails, audit
from .adapter import SESSION_LAST_SEEN_AT, SESSION_SIGNED_IN_AT
from .models import AuditEvent, User

log = logging.getLogger(__name__)


def _record(action: str, user: User | None, **after: Any) -> None:
    """Write the event to the audit log and to the process log, which contains only the user's ID."""
    audit.record(action, organization=None, actor=user, target=user.email if user else "", after=after or None)
    log.info("%s by user %s", action, user.pk if user else None)


@receiver(auth.user_logged_in)
def signed_in(sender: Any, request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    if request is not None:
        request.session[SESSION_SIGNED_IN_AT] = request.session[SESSION_LAST_SEEN_AT] = time.time()
        _record("user.signed_in", user)


@receiver(auth.user_login_failed)
def sign_in_failed(sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any) -> None:
    """Record the failure if the account exists. The input for an unknown account is not stored, because it may be a password."""
    email = str(credentials.get("email") or credentials.get("username") or "").lower()
    user = User.objects.filter(email=email).first() if email and "\0" not in email else None
    if user:
        audit.record("user.sign_in_failed", organization=None, actor=None, target=user.email)
    log.warning("user.sign_in_failed for user %s", user.pk if user else None)


@receiver([account.password_changed, account.password_set])
def password_changed(sender: Any, user: User, **kwargs: Any) -> None:
    _record("user.password_changed", user)


@receiver(account.password_reset)
def password_reset(sender: Any, user: User, **kwargs: Any) -> None:
    """Record the reset. If the user has no confirmed address, mark the sign-in address as confirmed, because the link was sent to it."""
    _record("user.password_reset", user)
    addresses = EmailAddress.objects.filter(user=user)
    if not addresses.filter(verified=True).exists():
        for address in addresses.filter(email__iexact=user.email):
            address.set_verified()


@receiver(account.email_added)
def email_added(sender: Any, user: User, email_address: Any, **kwargs: Any) -> None:
    _record("user.email_added", user, email=email_address.email)


@receiver(account.email_removed)
def email_removed(sender: Any, user: User, email_address: Any, **kwargs: Any) -> None:
    _record("user.email_removed", user, email=email_address.email)


@receiver(account.email_confirmed)
def email_confirmed(sender: Any, email_address: Any, **kwargs: Any) -> None:
    """Record the confirmation, welcome new users, and delete unconfirmed entries of the same address in other accounts."""
    user = email_address.user
    is_first = not AuditEvent.objects.filter(actor_user=user, action="user.email_confirmed").exists()
    _record("user.email_confirmed", user, email=email_address.email)
    if is_first and email_address.primary:
        with localized_for(user):
            send_email(account_emails.welcome("/welcome/"), to=email_address.email, category="welcome")
    EmailAddress.objects.filter(email__iexact=email_address.email, verified=False, primary=False).exclude(pk=email_address.pk).delete()


@receiver(account.email_changed)
def email_changed(sender: Any, user: User, to_email_address: Any, **kwargs: Any) -> None:
    _record("user.email_changed", user, email=to_email_address.email)


@receiver(mfa.authenticator_added)
def second_factor_added(sender: Any, user: User, authenticator: Any, **kwargs: Any) -> None:
    _record("user.second_factor_added", user, type=authenticator.type)


@receiver(mfa.authenticator_removed)
def second_factor_removed(sender: Any, user: User, authenticator: Any, **kwargs: Any) -> None:
    _record("user.second_factor_removed", user, type=authenticator.type)


@receiver(mfa.authenticator_reset)
def recovery_codes_generated(sender: Any, user: User, authenticator: Any, **kwargs: Any) -> None:
    _record("user.recovery_codes_generated", user, type=authenticator.type)
