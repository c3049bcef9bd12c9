"""Errors of the pages in `contextmcp.web`."""

from contextmcp.common.errors import Conflict


class OrganizationSwitched(Conflict):
    code = "organization_switched"
    message = "You switched to another organization in another tab. No changes were made."
