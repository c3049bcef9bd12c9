"""News for the apps above. Sent inside the transaction that makes it so."""

from django.dispatch import Signal

# Arguments: organization.
organization_closed = Signal()
# Arguments: organization (which has another name or billing address).
organization_changed = Signal()
# Arguments: organization, user (who is no longer a member).
member_removed = Signal()
