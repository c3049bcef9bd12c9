"""Limits on invitation emails. They count events of the audit log, which are durable and exist for each email."""

from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet

from accounts.errors import HourlyLimitReached
from accounts.models import AuditEvent, Organization, User
from contextmcp.common.clock import now
from contextmcp.common.errors import until
from contextmcp.common.locks import Namespace, lock_in_transaction

MAILED = ("invitation.created", "invitation.resent")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def check_invitation_limits(organization: Organization, inviter: User | None, email: str) -> None:
    """Raise `HourlyLimitReached` if another email would exceed a limit of the organization, the inviter or the recipient.

    Call it in the transaction that records the event, with the organization's row locked. It takes advisory locks on the inviter and the
    recipient, in this order, because other organizations may invite the same person concurrently.
    """
    lock_in_transaction(Namespace.INVITER, inviter.pk if inviter else organization.pk)
    lock_in_transaction(Namespace.INVITATION_RECIPIENT, email)
    events = AuditEvent.objects.filter(action__in=MAILED)
    here = events.filter(organization=organization)
    per_hour, per_day = settings.INVITATIONS_PER_HOUR, settings.INVITATIONS_PER_DAY
    _check(here, [(per_hour, HOUR), (per_day, DAY)], "This organization has sent too many invitations. Try again later.")
    if inviter is not None:
        text = "You have sent too many invitations. Try again later."
        _check(events.filter(actor_user=inviter), [(per_hour, HOUR), (per_day, DAY)], text)
    text = "This address was sent too many invitations. Try again later."
    _check(here.filter(target=email), [(settings.INVITATIONS_PER_RECIPIENT_PER_DAY, DAY)], text)
    # All organizations together, to protect the recipient's mailbox.
    _check(events.filter(target=email), [(3 * settings.INVITATIONS_PER_RECIPIENT_PER_DAY, DAY)], text)


def _check(events: QuerySet[AuditEvent], limits: Iterable[tuple[int, timedelta]], text: str) -> None:
    present = now()
    for limit, window in limits:
        # If the limit is reached, this is the event whose expiration from the window allows the next email.
        oldest = (
            events.filter(created_at__gt=present - window).order_by("-created_at").values_list("created_at", flat=True)[limit - 1 : limit]
        )
        for moment in oldest:
            raise HourlyLimitReached(text, limit=limit, retry_after=until(moment + window, present))
