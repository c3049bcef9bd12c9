"""Roles, their permissions, and the scopes of API keys."""

from collections.abc import Iterable

from django.db import models
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    OWNER = "owner", _("Owner")
    ADMIN = "admin", _("Admin")
    MEMBER = "member", _("Member")
    VIEWER = "viewer", _("Viewer")

    @property
    def with_article(self) -> str:
        """Return the role's English name for use in a sentence of the admin, such as "an admin"."""
        return f"{'an' if self in PRIVILEGED_ROLES else 'a'} {self.label.lower()}"

    @property
    def summary(self) -> str:
        """Return what members with the role can do, in the reader's language."""
        return str(_SUMMARIES[self])


_SUMMARIES = {
    Role.OWNER: _("Owners can do everything: manage billing, settings and roles, and close the organization."),
    Role.ADMIN: _("Admins manage members, invitations and all API keys, and see billing."),
    Role.MEMBER: _("Members use the product and create their own API keys."),
    Role.VIEWER: _("Viewers see usage, activity and members, and change nothing."),
}

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
# What a scope allows, in the reader's language.
SCOPE_TITLES = {
    "usage:write": _("Use the product; calls count against the plan"),
    "usage:read": _("View usage"),
    "entitlements:read": _("View the plan and its limits"),
    "organization:read": _("View the organization and its members"),
    "organization:write": _("Manage members, invitations and settings"),
    "keys:write": _("Create, rotate and revoke API keys"),
    "billing:read": _("View billing and invoices"),
    "billing:write": _("Change the plan and manage billing"),
}


class Access(models.TextChoices):
    """Sets of scopes with a name, for the form of a new key. A key gets those of them that its creator has."""

    USE = "use", _("Use the product")
    READ = "read", _("Read only")
    FULL = "full", _("Full access")
    CUSTOM = "custom", _("Choose scopes")

    @property
    def scopes(self) -> frozenset[str]:
        return _ACCESS_SCOPES[self]

    @classmethod
    def of(cls, scopes: Iterable[str]) -> "Access":
        """Return the name of the scopes of a key."""
        return next((access for access in cls if access.scopes == frozenset(scopes)), cls.CUSTOM)


_ACCESS_SCOPES = {
    Access.USE: DEFAULT_KEY_SCOPES,
    Access.READ: _READ,
    Access.FULL: frozenset(SCOPES),
    Access.CUSTOM: frozenset(),
}
# The scopes that a role allows for its members and their keys. Viewers read; members also use the product and create keys; admins also
# manage the team and see billing; only owners change billing.
ROLE_SCOPES: dict[str, frozenset[str]] = {
    Role.OWNER: frozenset(SCOPES),
    Role.ADMIN: _READ | {"keys:write", "organization:write", "usage:write", "billing:read"},
    Role.MEMBER: _READ | {"keys:write", "usage:write"},
    Role.VIEWER: _READ,
}
