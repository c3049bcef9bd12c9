"""Webhook endpoints with their states and last deliveries."""

from collections.abc import Sequence

from django.db.models import OuterRef, Subquery

from contextmcp.backoffice.organization.details import OrganizationDetails
from contextmcp.backoffice.organization.display import SHOWN_ROWS, Block, Cell, Row, row, short_table
from contextmcp.backoffice.organization.panel import Panel
from contextmcp.backoffice.wording import moment
from contextmcp.common.admin_links import list_url, object_url
from usage.models import WebhookDelivery, WebhookEndpoint

COLUMNS = ("Endpoint", "State", "Events", "Last delivery")


def read(details: OrganizationDetails) -> Sequence[Block]:
    last = WebhookDelivery.objects.filter(endpoint=OuterRef("pk")).order_by("-created_at")
    endpoints = WebhookEndpoint.objects.filter(organization=details.organization).annotate(
        last_state=Subquery(last.values("state")[:1]),
        last_error=Subquery(last.values("last_error")[:1]),
        last_at=Subquery(last.values("created_at")[:1]),
    )
    rows = [_endpoint_row(each) for each in endpoints.order_by("-created_at", "-id")[: SHOWN_ROWS + 1]]
    more = list_url("usage.webhookendpoint", organization__id__exact=details.organization.pk)
    return [short_table(COLUMNS, rows, empty="No webhook endpoints.", more=more)]


def _endpoint_row(endpoint: WebhookEndpoint) -> Row:
    delivery = Cell("None")
    if endpoint.last_at:  # type: ignore[attr-defined]
        link = list_url("usage.webhookdelivery", endpoint__id__exact=endpoint.pk)
        lines = tuple(filter(None, (moment(endpoint.last_at), endpoint.last_error)))  # type: ignore[attr-defined]
        delivery = Cell(endpoint.last_state, link, lines=lines)  # type: ignore[attr-defined]
    return row(Cell(endpoint.url, object_url(endpoint)), _state(endpoint), ", ".join(endpoint.event_types), delivery)


def _state(endpoint: WebhookEndpoint) -> Cell:
    if not endpoint.enabled:
        return Cell("Disabled", tone="danger", lines=(endpoint.disabled_reason,) if endpoint.disabled_reason else ())
    if endpoint.failing_since:
        return Cell("Failing", tone="warning", lines=(f"since {moment(endpoint.failing_since)}",))
    return Cell("Enabled", tone="success")


PANEL = Panel("webhooks", "Webhook endpoints", ("usage.view_webhookendpoint",), read)
