"""Lookups that the management commands share."""

from uuid import UUID

from django.core.management.base import CommandError

from accounts.models import Organization


def organization(id_or_slug: str) -> Organization:
    """Return the organization with this id or slug. Raises `CommandError` if it does not exist."""
    try:
        row = Organization.objects.filter(pk=UUID(id_or_slug)).first()
    except ValueError:
        row = Organization.objects.filter(slug=id_or_slug).first()
    if row is None:
        raise CommandError(f"There is no organization with the id or slug {id_or_slug}.")
    return row
