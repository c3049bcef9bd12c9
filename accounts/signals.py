"""Signals for the apps that depend on accounts. They are sent in the transaction of the change."""

from django.dispatch import Signal

# Arguments: organization.
organization_closed = Signal()
# Arguments: organization.
organization_reopened = Signal()
# Arguments: organization, whose name or billing address changed.
organization_changed = Signal()
# Arguments: organization, user (the former member).
member_removed = Signal()
