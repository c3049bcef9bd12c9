"""Errors of the pages in `contextmcp.web`."""

from django.utils.translation import gettext_noop as _

from contextmcp.common.errors import Conflict


class OrganizationSwitched(Conflict):
    code = "organization_switched"
    message = _("You switched to another organization in another tab. No changes were made.")
