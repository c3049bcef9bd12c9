"""Members with their roles and last sign-ins."""

from collections.abc import Sequence

from django.db.models import Case, IntegerField, Value, When
from django.urls import reverse

from accounts.models import Membership
from accounts.roles import Role
from accounts.services.impersonation import PERMISSION as IMPERSONATE
from contextmcp.backoffice.organization.details import OrganizationDetails
from contextmcp.backoffice.organization.display import SHOWN_ROWS, Block, Cell, Row, Tone, action_link, row, short_table
from contextmcp.backoffice.organization.panel import Panel
from contextmcp.backoffice.wording import moment
from contextmcp.common.admin_links import list_url, object_url

COLUMNS = ("Member", "Role", "Last sign-in", "Joined")
_RANK = Case(*(When(role=role, then=Value(rank)) for rank, role in enumerate(Role)), output_field=IntegerField())


def read(details: OrganizationDetails) -> Sequence[Block]:
    members = Membership.objects.filter(organization=details.organization).select_related("user")
    rows = [_member_row(details, each) for each in members.order_by(_RANK, "created_at", "id")[: SHOWN_ROWS + 1]]
    more = list_url("accounts.membership", organization__id__exact=details.organization.pk)
    columns = (*COLUMNS, "Support") if details.may(IMPERSONATE) else COLUMNS
    return [short_table(columns, rows, empty="No members.", more=more)]


def _member_row(details: OrganizationDetails, member: Membership) -> Row:
    user = member.user
    states = [text for text, holds in (("Deactivated", not user.is_active), ("Staff", user.is_staff)) if holds]
    link = object_url(user) if details.may("accounts.view_user") else ""
    tone: Tone = "info" if member.role == Role.OWNER else "neutral"
    may_change = details.may("accounts.change_membership")
    role_link = action_link(details.organization, "change-role", member=member.pk) if may_change else object_url(member)
    # The link opens the form that asks for the reason. Staff and inactive users cannot be impersonated.
    support = (
        [Cell("View as", reverse("backoffice:impersonate", args=[member.pk])) if not states else "-"] if details.may(IMPERSONATE) else []
    )
    return row(
        Cell(user.email, link, lines=tuple(filter(None, (user.name, *states)))),
        Cell(member.role, role_link, tone=tone),
        moment(user.last_login, "Never"),
        moment(member.created_at),
        *support,
    )


PANEL = Panel("members", "Members", ("accounts.view_membership",), read)
