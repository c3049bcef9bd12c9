"""Invitations with their status."""

from collections.abc import Sequence

from accounts.models import Invitation
from contextmcp.backoffice.organization.details import OrganizationDetails
from contextmcp.backoffice.organization.display import SHOWN_ROWS, Block, Cell, action_link, person, row, short_table
from contextmcp.backoffice.organization.ordering import last_if
from contextmcp.backoffice.organization.panel import Panel
from contextmcp.backoffice.wording import moment
from contextmcp.common.admin_links import list_url, object_url
from contextmcp.common.clock import now

RESEND = "accounts.manage_invitation"
COLUMNS = ("Invited", "Role", "State", "Invited by", "Sent", "Expires")


def read(details: OrganizationDetails) -> Sequence[Block]:
    invitations = Invitation.objects.filter(organization=details.organization).select_related("invited_by", "accepted_by")
    finished = last_if(accepted_at__isnull=False, revoked_at__isnull=False)
    rows = [
        row(
            Cell(each.email, object_url(each)),
            each.role,
            _state(each),
            person(each.invited_by, "A former user"),
            moment(each.sent_at, "Not sent yet"),
            moment(each.expires_at),
            *([_resend(details, each)] if details.may(RESEND) else []),
        )
        for each in invitations.order_by(finished, "-created_at", "-id")[: SHOWN_ROWS + 1]
    ]
    more = list_url("accounts.invitation", organization__id__exact=details.organization.pk)
    columns = (*COLUMNS, "Action") if details.may(RESEND) else COLUMNS
    return [short_table(columns, rows, empty="No invitations.", more=more)]


def _resend(details: OrganizationDetails, invitation: Invitation) -> Cell:
    if invitation.accepted_at or invitation.revoked_at or details.organization.closed_at:
        return Cell("-")
    return Cell("Resend", action_link(details.organization, "resend-invitation", invitation=invitation.pk))


def _state(invitation: Invitation) -> Cell:
    if invitation.accepted_at:
        return Cell(
            "Accepted", tone="success", lines=(f"by {person(invitation.accepted_by, 'a former user')}", moment(invitation.accepted_at))
        )
    if invitation.revoked_at:
        return Cell("Revoked", tone="neutral", lines=(moment(invitation.revoked_at),))
    # Invitations expire in real time, also for organizations with a test clock.
    return Cell("Expired", tone="warning") if invitation.expires_at <= now() else Cell("Pending", tone="info")


PANEL = Panel("invitations", "Invitations", ("accounts.view_invitation",), read)
