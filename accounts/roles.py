"""Who may do what: the roles, their permissions, and the scopes an API key can have."""

from django.db import models


class Role(models.TextChoices):
    OWNER = "owner", "Owner"
    ADMIN = "admin", "Admin"
    MEMBER = "member", "Member"
    VIEWER = "viewer", "Viewer"


# Roles that can change who belongs to an organization. Only a signed-in person gives them or takes them away; an API key cannot.
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
# What a new key may do unless more is asked for by name. Such a key is pasted into the configuration of AI clients, so it can use the
# product and read, and nothing else: if it leaks, it cannot change members, keys or billing.
DEFAULT_KEY_SCOPES = frozenset({"organization:read", "entitlements:read", "usage:read", "usage:write"})
# What a role lets a key be given, and lets a signed-in member do. Everyone reads; whoever works with the product uses it and makes keys;
# who runs the team changes it and sees what it pays; only an owner spends.
ROLE_SCOPES: dict[str, frozenset[str]] = {
    Role.OWNER: frozenset(SCOPES),
    Role.ADMIN: _READ | {"keys:write", "organization:write", "usage:write", "billing:read"},
    Role.MEMBER: _READ | {"keys:write", "usage:write"},
    Role.VIEWER: _READ,
}
