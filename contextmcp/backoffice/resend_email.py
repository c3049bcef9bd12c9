"""Send an email again, for staff.

The content of a delivered or abandoned message was deleted, because it may have contained a link. Therefore a function for each category
creates the message again, with current data and new links. A message that cannot be created again, or that no longer applies, is rejected.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from allauth.account.models import EmailAddress
from django.db import transaction
from django.http import HttpRequest

from accounts import audit, emails
from accounts.account_links import send_confirmation_link, send_reset_link
from accounts.authentication import staff
from accounts.manager import AuthManager
from accounts.models import Invitation, Membership, Organization, User
from billing.models import BillingNotification
from billing.notifications import deliver
from contextmcp.common.clock import now
from contextmcp.common.errors import DomainError
from contextmcp.common.ids import as_uuid
from contextmcp.common.models import OutgoingEmail
from usage.alerts import email as alert_email
from usage.models import UsageAlert, WebhookEndpoint
from usage.webhooks import endpoint_health

from .errors import EmailNotResendable

# Categories of messages that cannot be created again, with the reason.
_REFUSED = {
    "security_notice": "It reported a change whose details are no longer stored. Write to the person instead.",
    "email_changed": "Its link to undo the change works only once, within 7 days of the change.",
    "operator_alert": "An alert is sent again once a day while it is open.",
}
_NOT_KNOWN = "It was sent when the person did something on a page. The person can repeat that action."


@dataclass(frozen=True)
class Resend:
    """How a message is sent again. `effect` describes the result. If `audited` is True, `send` records its own audit event."""

    effect: str
    send: Callable[[HttpRequest, str], object]
    audited: bool = False


def plan_resend(email: OutgoingEmail) -> Resend:
    """Return how the message is sent again. Raises `EmailNotResendable` with the reason if it cannot be."""
    if email.state == OutgoingEmail.State.QUEUED:
        return Resend("is waiting, and will be delivered now.", lambda request, reason: _hurry(email))
    prefix = email.category.partition(".")[0]
    writer = _WRITERS.get(email.category) or _WRITERS.get(f"{prefix}.")
    if writer is None:
        raise EmailNotResendable(f"This message cannot be sent again. {_REFUSED.get(email.category, _NOT_KNOWN)}")
    return writer(email)


def resend(request: HttpRequest, email: OutgoingEmail, reason: str) -> None:
    """Deliver a waiting message now, or send a delivered or abandoned one again as a new message. Records one audit event.

    Raises:
        EmailNotResendable: the message cannot be created again, or no longer applies. DomainError: an error of the service that creates it,
        such as too many invitations.
    """
    with transaction.atomic():
        plan = plan_resend(email)
        plan.send(request, reason)
        if not plan.audited:
            audit.record(
                "email.retried" if email.state == OutgoingEmail.State.QUEUED else "email.resent",
                organization=_organization(email),
                actor=staff(request),
                target=f"email:{email.pk}",
                before={"state": email.state, "attempts": email.attempts},
                after={"category": email.category, "recipients": email.recipients},
                reason=reason,
            )


def previews(rows: list[OutgoingEmail]) -> list[str]:
    """Return for each message the organization that it concerns, and what sending it again does."""
    named = {row.organization_id for row in rows if row.organization_id}
    names: dict[UUID | None, str] = dict(Organization.objects.filter(pk__in=named).values_list("pk", "name"))
    return [f"{names.get(row.organization_id, 'No organization')}: {_preview(row)}" for row in rows]


def _preview(email: OutgoingEmail) -> str:
    try:
        return plan_resend(email).effect
    except DomainError as refusal:
        return refusal.text


def _organization(email: OutgoingEmail) -> Organization | None:
    return Organization.objects.filter(pk=email.organization_id).first() if email.organization_id else None


def _hurry(email: OutgoingEmail) -> None:
    if not OutgoingEmail.objects.filter(pk=email.pk, state=OutgoingEmail.State.QUEUED).update(next_attempt_at=now()):
        raise EmailNotResendable("This message was delivered or abandoned in the meantime. Reload the page.")


def _reference(email: OutgoingEmail) -> UUID:
    """Return the ID of the object that the message is about, or an ID that no object has."""
    return as_uuid(email.reference) or UUID(int=0)


def _invitation(email: OutgoingEmail) -> Resend:
    row = Invitation.objects.pending().select_related("organization").filter(pk=_reference(email)).first()
    if row is None:
        raise EmailNotResendable("The invitation was accepted or revoked.")
    manager = AuthManager(row.organization)
    effect = f"a new link is sent to {row.email}. The previous link stops working."
    return Resend(effect, lambda request, reason: manager.resend_invitation(staff(request), row.pk, reason=reason), audited=True)


def _role_notice(email: OutgoingEmail) -> Resend:
    rows = Membership.objects.select_related("organization", "user").filter(pk=_reference(email), organization__closed_at=None)
    member = rows.first()
    if member is None or not emails.role_notice_applies(member, email.recipients[0]):
        raise EmailNotResendable("The recipient is no longer an owner, or the member no longer has a role that owners are notified about.")
    return Resend(f"the notice is sent to {email.recipients[0]} again.", lambda *_: emails.resend_role_notice(member, email.recipients[0]))


def _password_reset(email: OutgoingEmail) -> Resend:
    user = User.objects.filter(email=email.recipients[0].lower(), is_active=True).first()
    if user is None:
        raise EmailNotResendable("No active account signs in with this address.")
    effect = f"a new link to set a password is sent to {user.email}. The current password stays valid until then."
    return Resend(effect, lambda request, reason: send_reset_link(request, user))


def _confirmation(email: OutgoingEmail) -> Resend:
    addresses = EmailAddress.objects.select_related("user").filter(email=email.recipients[0].lower(), user__is_active=True)
    address = addresses.filter(verified=False).first()
    if address is None:
        raise EmailNotResendable("The address is already confirmed, or no account uses it anymore.")
    effect = f"a new link to confirm the address is sent to {address.email}."
    return Resend(effect, lambda request, reason: send_confirmation_link(request, address))


def _billing(email: OutgoingEmail) -> Resend:
    row = BillingNotification.objects.select_related("organization").filter(pk=email.reference).first()
    if row is None or deliver.content_of(row) is None:
        raise EmailNotResendable("This message no longer applies, because the data that it is about has changed.")
    # A member who no longer gets such emails gets none. The billing address may have changed.
    address = next((each for each in deliver.recipients_of(row) if each == email.recipients[0]), row.organization.email)
    effect = f"the message is sent with current data to {address}."
    return Resend(effect, lambda *_: deliver.resend(row, address))


def _usage_alert(email: OutgoingEmail) -> Resend:
    alert = UsageAlert.objects.filter(pk=_reference(email)).first()
    user = User.objects.filter(email=email.recipients[0].lower()).first()
    if alert is None or user is None or not alert_email.is_recipient(alert, user):
        raise EmailNotResendable("The recipient left the organization or turned off such emails.")
    return Resend(f"the alert is sent to {user.email} again.", lambda *_: alert_email.send(str(alert.pk), user.pk))


def _endpoint_notice(email: OutgoingEmail) -> Resend:
    endpoint = WebhookEndpoint.objects.select_related("organization").filter(pk=_reference(email), enabled=False).first()
    if endpoint is None or not endpoint_health.is_recipient(endpoint, email.recipients[0]):
        raise EmailNotResendable("The endpoint is enabled or deleted, or the recipient is no longer an owner or turned off such emails.")
    effect = f"the notice is sent to {email.recipients[0]} again."
    return Resend(effect, lambda *_: endpoint_health.send_notice(endpoint, email.recipients[0], endpoint.disabled_reason))


# A key that ends with a dot applies to all categories with this prefix.
_WRITERS: dict[str, Callable[[OutgoingEmail], Resend]] = {
    emails.INVITATION: _invitation,
    emails.ROLE_NOTICE: _role_notice,
    "password_reset_key": _password_reset,
    "email_confirmation": _confirmation,
    "email_confirmation_signup": _confirmation,
    "billing.": _billing,
    endpoint_health.DISABLED: _endpoint_notice,
    "usage.": _usage_alert,
}
