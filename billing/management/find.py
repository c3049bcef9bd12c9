"""What commands are told by name."""

from uuid import UUID

from django.core.management.base import CommandError

from accounts.models import Organization


def organization(named: str) -> Organization:
    """By id or slug; stops the command where there is none."""
    try:
        found = Organization.objects.filter(pk=UUID(named)).first()
    except ValueError:
        found = Organization.objects.filter(slug=named).first()
    if found is None:
        raise CommandError(f"There is no organization {named}.")
    return found
