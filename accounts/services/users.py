"""What staff do to a user's account: another email address, a verified one, no second factor."""

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import F

from accounts import audit
from accounts.models import User
from contextmcp.common.errors import Conflict


def end_sessions(user: User) -> None:
    """Sign the user out everywhere."""
    User.objects.filter(pk=user.pk).update(session_epoch=F("session_epoch") + 1)
    user.refresh_from_db(fields=["session_epoch"])


def change_email(user: User, email: str, actor: User) -> None:
    """Make `email` the user's only address, unverified; end their sessions and reset links, and tell both addresses.

    Raises:
        Conflict: somebody else has verified or uses the address.
    """
    email = email.strip().lower()
    with transaction.atomic():
        row = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        old = row.email
        others = EmailAddress.objects.filter(email__iexact=email).exclude(user=row)
        if User.objects.filter(email__iexact=email).exclude(pk=row.pk).exists() or others.filter(verified=True).exists():
            raise Conflict("Another account uses this email address.")
        # Whoever added it without verifying it has no claim to it.
        others.delete()
        before = sorted(EmailAddress.objects.filter(user=row).values_list("email", flat=True))
        EmailAddress.objects.filter(user=row).exclude(email__iexact=email).delete()
        EmailAddress.objects.update_or_create(user=row, email=email, defaults={"primary": True, "verified": False})
        row.email = user.email = email
        row.save(update_fields=["email"])
        end_sessions(user)
        audit.record(
            "user.email_changed",
            organization=None,
            actor=actor,
            target=email,
            before={"email": old, "addresses": before},
            after={"email": email, "addresses": [email]},
        )
        _notify(
            [old, email],
            "Your ContextMCP email address was changed",
            f"Our support team changed the email address of your account from {old} to {email}, and signed you out everywhere.\n"
            f"Sign in with {email} from now on: {settings.PUBLIC_URL}/accounts/login/\n\n"
            "If you did not ask for this, reply to this message at once.\n",
        )


def verify_address(address: EmailAddress, actor: User, reason: str) -> None:
    """Mark the address as verified. Raises `Conflict` where it is already, or where another account has verified it."""
    with transaction.atomic():
        row = EmailAddress.objects.select_for_update(of=("self",)).select_related("user").get(pk=address.pk)
        if row.verified:
            raise Conflict("This email address is verified already.")
        if not row.can_set_verified():
            raise Conflict("Another account has verified this email address.")
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
    """Remove every authenticator and recovery code of the user, end their sessions and tell them.

    Raises:
        Conflict: the user has no second factor, or is staff and the actor is no owner, or is the actor.
    """
    if user.pk == actor.pk:
        raise Conflict("Nobody resets their own second factor here.")
    if (user.is_staff or user.is_superuser) and not actor.is_superuser:
        raise Conflict("Only an owner resets the second factor of staff.")
    with transaction.atomic():
        rows = Authenticator.objects.filter(user=user)
        types = sorted(rows.values_list("type", flat=True))
        if not types:
            raise Conflict("This user has no second factor.")
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
        _notify(
            [user.email],
            "Your ContextMCP second factor was removed",
            "Our support team removed the second factor of your account and signed you out everywhere. Sign in and set up a new one:\n"
            f"{settings.PUBLIC_URL}/accounts/2fa/\n\nIf you did not ask for this, reply to this message at once.\n",
        )


def _notify(addresses: list[str], subject: str, text: str) -> None:
    """Mail each address on its own once the change is committed. A mail server that fails does not undo it."""

    def send() -> None:
        for address in addresses:
            send_mail(subject, text, None, [address])

    transaction.on_commit(send, robust=True)
