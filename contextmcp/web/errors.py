"""Errors of the pages in `contextmcp.web`."""

from django.utils.translation import gettext_noop as _

from contextmcp.common.errors import Conflict


class OrganizationSwitched(Conflict):
    code = "organization_switched"
    message = _("You switched to another organization in another tab. No changes were made.")


class ExportInProgress(Conflict):
    code = "export_in_progress"
    message = _("An export is already being prepared. You will get an email when it is ready.")


class TooManyExports(Conflict):
    """Details: `limit` per day."""

    code = "too_many_exports"
    message = _("You have requested too many exports today. Try again tomorrow.")
