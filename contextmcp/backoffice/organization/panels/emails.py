"""Emails about the organization, and billing emails that are due."""

from collections.abc import Sequence

from billing.models import BillingNotification
from contextmcp.backoffice.organization.details import OrganizationDetails
from contextmcp.backoffice.organization.display import SHOWN_ROWS, Block, Cell, Row, Table, Tone, row, short_table
from contextmcp.backoffice.organization.panel import Panel
from contextmcp.backoffice.wording import moment
from contextmcp.common.admin_links import list_url, object_url
from contextmcp.common.models import OutgoingEmail
from contextmcp.common.text import words

COLUMNS = ("Email", "To", "State", "Created", "Sent")
DUE_COLUMNS = ("Billing email", "Subject", "Due", "State")
_TONES: dict[str, Tone] = {"sent": "success", "failed": "danger", "queued": "info"}


def read(details: OrganizationDetails) -> Sequence[Block]:
    emails = OutgoingEmail.objects.filter(organization_id=details.organization.pk)
    newest = emails.defer("text", "html").order_by("-created_at", "-id")[: SHOWN_ROWS + 1]
    rows = [_email_row(each) for each in newest]
    more = list_url("common.outgoingemail", organization_id__exact=details.organization.pk)
    note = "Emails about a person's account, such as a password reset, belong to no organization."
    blocks: list[Block] = [short_table(COLUMNS, rows, empty="No emails in the last 30 days.", more=more, note=note)]
    if details.may("billing.view_billingnotification"):
        blocks.append(_due(details))
    return blocks


def _email_row(email: OutgoingEmail) -> Row:
    attempts = f"{email.attempts} attempts" if email.attempts > 1 else ""
    state = Cell(
        email.get_state_display(), tone=_TONES.get(email.state, "neutral"), lines=tuple(filter(None, (email.last_error, attempts)))
    )
    return row(
        Cell(email.subject, object_url(email), lines=(words(email.category),)),
        ", ".join(email.recipients),
        state,
        moment(email.created_at),
        moment(email.sent_at),
    )


def _due(details: OrganizationDetails) -> Table:
    due = BillingNotification.objects.filter(organization=details.organization, sent_at=None, canceled_at=None)
    rows = [
        row(
            Cell(words(each.kind), object_url(each)),
            each.object_id,
            moment(each.due_at),
            Cell(f"{each.attempts} failed attempts", tone="warning", lines=(each.error,)) if each.error else Cell("Scheduled", tone="info"),
        )
        for each in due.order_by("due_at", "id")[: SHOWN_ROWS + 1]
    ]
    more = list_url("billing.billingnotification", organization__id__exact=details.organization.pk)
    return short_table(DUE_COLUMNS, rows, empty="No billing emails are scheduled.", more=more, title="Scheduled billing emails")


PANEL = Panel("emails", "Emails", ("common.view_outgoingemail",), read)
