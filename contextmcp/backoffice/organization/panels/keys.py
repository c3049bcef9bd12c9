"""API keys: hint, state, last use and creator."""

from collections.abc import Sequence

from django.db.models import F

from accounts.models import ApiKey
from contextmcp.backoffice.organization.details import OrganizationDetails
from contextmcp.backoffice.organization.display import SHOWN_ROWS, Block, Cell, Tone, person, row, short_table
from contextmcp.backoffice.organization.ordering import last_if
from contextmcp.backoffice.organization.panel import Panel
from contextmcp.backoffice.wording import moment
from contextmcp.common.admin_links import list_url, object_url

COLUMNS = ("Key", "State", "Last used", "Created by", "Created", "Scopes")
_TONES: dict[str, Tone] = {"active": "success", "orphaned": "warning"}


def read(details: OrganizationDetails) -> Sequence[Block]:
    keys = ApiKey.objects.filter(organization=details.organization).select_related("created_by")
    # Keys that are not revoked come first, the most recently used ones before the others.
    newest = keys.order_by(last_if(revoked_at__isnull=False), F("last_used_at").desc(nulls_last=True), "-created_at", "-id")
    rows = [
        row(
            Cell(each.name, object_url(each), lines=(each.hint,)),
            _state(each, details),
            moment(each.last_used_at, "Never"),
            person(each.created_by, "A former user"),
            moment(each.created_at),
            ", ".join(each.scopes),
        )
        for each in newest[: SHOWN_ROWS + 1]
    ]
    more = list_url("accounts.apikey", organization__id__exact=details.organization.pk)
    return [short_table(COLUMNS, rows, empty="No API keys.", more=more)]


def _state(key: ApiKey, details: OrganizationDetails) -> Cell:
    status = key.status(details.present)
    note = {
        "revoked": moment(key.revoked_at),
        "orphaned": "Its creator left the organization",
        "expired": moment(key.expires_at),
        "active": f"expires {moment(key.expires_at)}" if key.expires_at else "",
    }[status]
    return Cell(status.capitalize(), tone=_TONES.get(status, "neutral"), lines=(note,) if note else ())


PANEL = Panel("keys", "API keys", ("accounts.view_apikey",), read)
