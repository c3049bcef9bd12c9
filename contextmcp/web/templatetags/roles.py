"""Names of roles."""

from django import template

from accounts.roles import Role

register = template.Library()


@register.filter
def role_title(role: str) -> str:
    """Return the name of a role in the reader's language, such as "Admin"."""
    return str(Role(role).label)
