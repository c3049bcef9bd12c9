"""Connected apps."""

from collections.abc import Sequence

from accounts.models import OAuthGrant
from contextmcp.backoffice.organization.details import OrganizationDetails
from contextmcp.backoffice.organization.display import SHOWN_ROWS, Block, Cell, row, short_table
from contextmcp.backoffice.organization.ordering import last_if
from contextmcp.backoffice.organization.panel import Panel
from contextmcp.backoffice.wording import moment
from contextmcp.common.admin_links import list_url, object_url

COLUMNS = ("App", "Connected by", "State", "Last used", "Connected", "Scopes")


def read(details: OrganizationDetails) -> Sequence[Block]:
    grants = OAuthGrant.objects.filter(membership__organization=details.organization).select_related("membership__user")
    rows = [
        row(
            Cell(each.client_name, object_url(each), lines=(each.client_id,)),
            each.membership.user.email,
            Cell("Disconnected", tone="neutral", lines=(moment(each.revoked_at),))
            if each.revoked_at
            else Cell("Connected", tone="success"),
            moment(each.last_used_at, "Never"),
            moment(each.created_at),
            ", ".join(each.scopes),
        )
        for each in grants.order_by(last_if(revoked_at__isnull=False), "-created_at", "-id")[: SHOWN_ROWS + 1]
    ]
    more = list_url("accounts.oauthgrant", membership__organization__id__exact=details.organization.pk)
    return [short_table(COLUMNS, rows, empty="No connected apps.", more=more)]


PANEL = Panel("apps", "Connected apps", ("accounts.view_oauthgrant",), read)
