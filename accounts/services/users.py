"""Changes of user accounts by staff: email address, verification and second factors."""

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.db import transaction
from django.db.models import F

from accounts import audit, emails
from accounts.errors import AddressAlreadyVerified, AddressInUse, NoSecondFactor, OwnerRequired, OwnSecondFactor
from accounts.models import Organization, User


def end_sessions(user: User) -> None:
    """End all sessions of the user."""
    User.objects.filter(pk=user.pk).update(session_epoch=F("session_epoch") + 1)
    user.refresh_from_db(fields=["session_epoch"])


def change_email(user: User, email: str, actor: User, *, organization: Organization | None = None, reason: str = "") -> None:
    """Make `email` the user's only address and mark it as unverified. End their sessions and reset links, and notify both addresses.

    `organization` is the organization on whose page staff made the change. The audit log records it.

    Raises:
        AddressInUse: another account uses or has verified the address.
    """
    email = email.strip().lower()
    with transaction.atomic():
        row = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        old = row.email
        others = EmailAddress.objects.filter(email__iexact=email).exclude(user=row)
        if User.objects.filter(email__iexact=email).exclude(pk=row.pk).exists() or others.filter(verified=True).exists():
            raise AddressInUse
        # Unverified entries of the address in other accounts are removed.
        others.delete()
        before = sorted(EmailAddress.objects.filter(user=row).values_list("email", flat=True))
        EmailAddress.objects.filter(user=row).exclude(email__iexact=email).delete()
        EmailAddress.objects.update_or_create(user=row, email=email, defaults={"primary": True, "verified": False})
        row.email = user.email = email
        row.save(update_fields=["email"])
        end_sessions(user)
        audit.record(
            "user.email_changed",
            organization=organization,
            actor=actor,
            target=email,
            before={"email": old, "addresses": before},
            after={"email": email, "addresses": [email]},
            reason=reason,
        )
        emails.send_security_notice(user, [old, email], lambda: emails.email_changed_by_staff(old, email))


def verify_address(address: EmailAddress, actor: User, reason: str) -> None:
    """Mark the address as verified. Raises `AddressAlreadyVerified`, or `AddressInUse` if another account has verified it."""
    with transaction.atomic():
        row = EmailAddress.objects.select_for_update(of=("self",)).select_related("user").get(pk=address.pk)
        if row.verified:
            raise AddressAlreadyVerified
        if not row.can_set_verified():
            raise AddressInUse("Another account has verified this email address.")
        row.verified = True
        row.save(update_fields=["verified"])
        audit.record(
            "email.verified",
            organization=None,
            actor=actor,
            target=row.email,
            before={"verified": False, "user": row.user.email},
            after={"verified": True, "user": row.user.email},
            reason=reason,
        )


def reset_second_factor(user: User, actor: User, reason: str) -> None:
    """Remove all authenticators and recovery codes of the user, end their sessions and notify them.

    Raises:
        NoSecondFactor: the user has no second factor.
        OwnerRequired: the user is staff and the actor is not an owner.
        OwnSecondFactor: the user is the actor.
    """
    if user.pk == actor.pk:
        raise OwnSecondFactor
    if (user.is_staff or user.is_superuser) and not actor.is_superuser:
        raise OwnerRequired
    with transaction.atomic():
        rows = Authenticator.objects.filter(user=user)
        types = sorted(rows.values_list("type", flat=True))
        if not types:
            raise NoSecondFactor
        rows.delete()
        end_sessions(user)
        audit.record(
            "user.second_factor_reset",
            organization=None,
            actor=actor,
            target=user.email,
            before={"authenticators": types},
            after={"authenticators": []},
            reason=reason,
        )
        emails.send_security_notice(user, [user.email], emails.second_factor_removed_by_staff)
