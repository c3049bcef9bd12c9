"""Roles, their permissions, and the scopes of API keys."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    OWNER = "owner", _("Owner")
    ADMIN = "admin", _("Admin")
    MEMBER = "member", _("Member")
    VIEWER = "viewer", _("Viewer")

    @property
    def with_article(self) -> str:
        """Return the role's name for use in a sentence, such as "an admin"."""
        return f"{'an' if self in PRIVILEGED_ROLES else 'a'} {self.label.lower()}"


# Roles that can manage members. Only a signed-in person can assign or remove them; an API key cannot.
PRIVILEGED_ROLES = frozenset({Role.OWNER, Role.ADMIN})

_VIEWER = frozenset({"projects:view", "contexts:view", "analytics:view"})
_MEMBER = frozenset({"projects:access", "contexts:access", "sessions:manage", "analytics:view"})
_ADMIN = frozenset({"users:manage", "teams:manage", "projects:manage", "contexts:manage", "settings:view", "analytics:view"})
_OWNER = frozenset({"organization:manage", "billing:manage"}) | _ADMIN | _MEMBER | _VIEWER

PERMISSIONS: dict[str, frozenset[str]] = {
    Role.OWNER: _OWNER,
    Role.ADMIN: _ADMIN,
    Role.MEMBER: _MEMBER,
    Role.VIEWER: _VIEWER,
}

SCOPES = (
    "keys:write",
    "organization:read",
    "organization:write",
    "entitlements:read",
    "usage:read",
    "usage:write",
    "billing:read",
    "billing:write",
)
_READ = frozenset({"organization:read", "entitlements:read", "usage:read"})
# Scopes of a new key by default. Keys are pasted into the configuration of AI clients, so a leaked key can use the product and read
# data, but cannot change members, keys or billing.
DEFAULT_KEY_SCOPES = frozenset({"organization:read", "entitlements:read", "usage:read", "usage:write"})
# The scopes that a role allows for its members and their keys. Viewers read; members also use the product and create keys; admins also
# manage the team and see billing; only owners change billing.
ROLE_SCOPES: dict[str, frozenset[str]] = {
    Role.OWNER: frozenset(SCOPES),
    Role.ADMIN: _READ | {"keys:write", "organization:write", "usage:write", "billing:read"},
    Role.MEMBER: _READ | {"keys:write", "usage:write"},
    Role.VIEWER: _READ,
}
