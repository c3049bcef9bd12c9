"""Email addresses of users: undo a change, and release addresses that were not confirmed."""

from datetime import datetime, timedelta
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.core import signing
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.fields.json import KT
from django.urls import reverse
from django.utils.translation import gettext_noop as _

from accounts import audit
from accounts.errors import AddressInUse
from accounts.models import AuditEvent, Membership, Organization, User
from accounts.selectors import is_registered
from contextmcp.common.clock import now
from contextmcp.common.errors import NotFound

from . import organizations, users

_SALT = "accounts.undo_email_change"
UNDO_LIFETIME = timedelta(days=7)
# How long an unconfirmed address is reserved. A confirmation link is valid for 3 days.
CLAIM_LIFETIME = timedelta(days=7)


def undo_url(user: User, email: str) -> str:
    """Return the link that restores `email`, the user's previous address, as their only one."""
    token = signing.dumps({"user": user.pk, "email": email.lower(), "changed_at": now().isoformat()}, salt=_SALT)
    return f"{settings.PUBLIC_URL}{reverse('undo-email-change', args=[token])}"


def read_undo_token(token: str) -> tuple[User, str, datetime]:
    """Return the user, the previous address and the time of the change from the token of an undo link.

    Raises `NotFound` if the token is forged or older than 7 days, if the account no longer exists, or if the link was already used.
    """
    try:
        content: dict[str, Any] = signing.loads(token, salt=_SALT, max_age=UNDO_LIFETIME)
    except signing.BadSignature:
        raise NotFound(_("This link is not valid, or it is older than 7 days.")) from None
    user = User.objects.filter(pk=content["user"]).first()
    if user is None:
        raise NotFound(_("This account no longer exists."))
    if user.email.lower() == content["email"]:
        raise NotFound(_("This link has already been used. Your account already has this email address."))
    return user, content["email"], datetime.fromisoformat(content["changed_at"])


def undo_email_change(token: str) -> User:
    """Restore the previous address as the user's only, confirmed address. End all sessions and remove credentials an attacker may have.

    Removed are the password, the recovery codes, and second factors that were added after the change or less than UNDO_LIFETIME before it.
    Older second factors are kept, because access to the mailbox alone must not bypass them.

    Raises:
        NotFound: see `read_undo_token`.
        AddressInUse: another account uses the address now.
    """
    with transaction.atomic():
        user, email, changed_at = read_undo_token(token)
        row = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        before = {"email": row.email, "addresses": sorted(EmailAddress.objects.filter(user=row).values_list("email", flat=True))}
        EmailAddress.objects.filter(user=row).delete()
        if is_registered(email):
            raise AddressInUse
        EmailAddress.objects.create(user=row, email=email, primary=True, verified=True)
        row.email = email
        row.set_unusable_password()
        row.save(update_fields=["email", "password"])
        removed = Authenticator.objects.filter(
            Q(created_at__gt=changed_at - UNDO_LIFETIME) | Q(type=Authenticator.Type.RECOVERY_CODES), user=row
        )
        before["removed_authenticators"] = sorted(removed.values_list("type", flat=True))
        removed.delete()
        users.end_sessions(row)
        audit.record(
            "user.email_change_undone",
            organization=None,
            actor=row,
            target=email,
            before=before,
            after={"email": email, "addresses": [email]},
        )
    return row


def expire_claims() -> int:
    """Delete additional addresses that were not confirmed in time. Return their number."""
    recent = AuditEvent.objects.filter(action="user.email_added", created_at__gt=now() - CLAIM_LIFETIME)
    added = recent.annotate(claimed=KT("after__email")).filter(actor_user=OuterRef("user"), claimed=OuterRef("email"))
    stale = EmailAddress.objects.filter(~Exists(added), verified=False, primary=False)
    return int(stale.delete()[0])


def expire_sign_ups() -> int:
    """Close accounts that were neither confirmed nor used in time, and release their addresses. Return their number.

    The rows are kept, because the audit log references them. Accounts created by staff have no password yet and are not closed.
    """
    confirmed = EmailAddress.objects.filter(user=OuterRef("pk"), verified=True)
    stale = User.objects.filter(
        ~Exists(confirmed), last_login=None, is_active=True, is_staff=False, date_joined__lt=now() - CLAIM_LIFETIME
    ).exclude(password__startswith=UNUSABLE_PASSWORD_PREFIX)
    count = 0
    for pk in list(stale.values_list("pk", flat=True)):
        with transaction.atomic():
            user = stale.select_for_update(no_key=True, of=("self",)).filter(pk=pk).first()
            if user is None:
                continue
            for organization in Organization.objects.filter(memberships__user=user, closed_at=None):
                if not Membership.objects.filter(organization=organization).exclude(user=user).exists():
                    organizations.close(organization, None, reason="The owner's email address was not confirmed.")
            email, user.email, user.is_active = user.email, f"{user.pk}@unconfirmed.invalid", False
            user.save(update_fields=["email", "is_active"])
            EmailAddress.objects.filter(user=user).delete()
            audit.record("user.sign_up_expired", organization=None, actor=None, target=email)
            count += 1
    return count
