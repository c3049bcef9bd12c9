"""How often invitations may be mailed. The events of the audit trail are counted: they are durable, and each such mail leaves one."""

from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet

from accounts.errors import HourlyLimitReached
from accounts.models import AuditEvent, Organization, User
from contextmcp.common.clock import now
from contextmcp.common.errors import until

MAILED = ("invitation.created", "invitation.resent")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def check_invitation_limits(organization: Organization, inviter: User | None, email: str) -> None:
    """Raise `HourlyLimitReached` if one more mail would pass a limit of the organization, the inviter or the recipient.

    Call it in the transaction that records the event. The organization's row must be locked; the inviter and the recipient are locked here,
    in this order, because both may be met in other organizations.
    """
    _lock(f"inviter:{inviter.pk if inviter else organization.pk}")
    _lock(f"recipient:{email}")
    events = AuditEvent.objects.filter(action__in=MAILED)
    here = events.filter(organization=organization)
    per_hour, per_day = settings.INVITATIONS_PER_HOUR, settings.INVITATIONS_PER_DAY
    _check(here, [(per_hour, HOUR), (per_day, DAY)], "This organization has sent too many invitations. Try again later.")
    if inviter is not None:
        text = "You have sent too many invitations. Try again later."
        _check(events.filter(actor_user=inviter), [(per_hour, HOUR), (per_day, DAY)], text)
    text = "This address was sent too many invitations. Try again later."
    _check(here.filter(target=email), [(settings.INVITATIONS_PER_RECIPIENT_PER_DAY, DAY)], text)
    # Of all organizations together: one person's mailbox.
    _check(events.filter(target=email), [(3 * settings.INVITATIONS_PER_RECIPIENT_PER_DAY, DAY)], text)


def _check(events: QuerySet[AuditEvent], limits: Iterable[tuple[int, timedelta]], text: str) -> None:
    present = now()
    for limit, window in limits:
        # The event whose end of the window makes room again, if the limit is reached.
        oldest = (
            events.filter(created_at__gt=present - window).order_by("-created_at").values_list("created_at", flat=True)[limit - 1 : limit]
        )
        for moment in oldest:
            raise HourlyLimitReached(text, limit=limit, retry_after=until(moment + window, present))


def _lock(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 2))", [name])
