"""The newest entries of the timeline."""

from collections.abc import Sequence

from django.urls import reverse

from contextmcp.backoffice.access_log import VIEWED
from contextmcp.backoffice.organization.details import OrganizationDetails
from contextmcp.backoffice.organization.display import Block, Fragment
from contextmcp.backoffice.organization.panel import Panel
from contextmcp.web.activity import timeline

SHOWN_ENTRIES = 20
# Each page that staff open creates an entry. These entries are shown only on the page of the whole timeline.
_WITHOUT = frozenset({VIEWED})


def read(details: OrganizationDetails) -> Sequence[Block]:
    entries = timeline(details.organization, audience="staff", limit=SHOWN_ENTRIES, without=_WITHOUT).entries
    more = reverse("backoffice:timeline", args=[details.organization.pk])
    return [Fragment("backoffice/organization/blocks/timeline.html", {"entries": entries, "more": more})]


PANEL = Panel("timeline", "Timeline", ("accounts.view_auditevent",), read)
