"""The service keys that changed something for the organization."""

from collections.abc import Sequence

from django.db.models import Count, Max

from accounts.models import AuditEvent, ServiceKey
from contextmcp.backoffice.organization.details import OrganizationDetails
from contextmcp.backoffice.organization.display import SHOWN_ROWS, Block, Cell, number, row, short_table
from contextmcp.backoffice.organization.panel import Panel
from contextmcp.backoffice.wording import moment
from contextmcp.common.admin_links import list_url, object_url

COLUMNS = ("Service key", "Changes", "Last change", "State")
# Number of the organization's newest audit events that are searched, so that the cost does not grow with the log.
SEARCHED_EVENTS = 1_000


def read(details: OrganizationDetails) -> Sequence[Block]:
    newest = AuditEvent.objects.filter(organization=details.organization).order_by("-created_at").values("pk")[:SEARCHED_EVENTS]
    events = AuditEvent.objects.filter(pk__in=newest, actor_service_key__isnull=False).order_by()
    totals = events.values_list("actor_service_key").annotate(changes=Count("pk"), last=Max("created_at")).order_by("-last")
    found = {key: (count, last) for key, count, last in totals[: SHOWN_ROWS + 1]}
    keys = ServiceKey.objects.in_bulk(list(found))
    rows = [
        row(Cell(str(keys[key]), object_url(keys[key])), number(count), moment(last), _state(keys[key], details))
        for key, (count, last) in found.items()
    ]
    note = f"From the newest {SEARCHED_EVENTS:,} audit events of the organization. Usage that service keys report is not in the audit log."
    return [short_table(COLUMNS, rows, empty="No changes by service keys.", more=list_url("accounts.servicekey"), note=note)]


def _state(key: ServiceKey, details: OrganizationDetails) -> Cell:
    if key.revoked_at:
        return Cell("Revoked", tone="neutral")
    expired = key.expires_at is not None and key.expires_at <= details.present - details.organization.clock_offset
    return Cell("Expired", tone="neutral") if expired else Cell("Active", tone="success")


PANEL = Panel("service-keys", "Changes by service keys", ("accounts.view_servicekey", "accounts.view_auditevent"), read)
