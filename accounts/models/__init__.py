"""Models of accounts: users, organizations, keys, connected apps, the audit log, and the state of operating the service."""

from .audit import AuditEvent
from .impersonation import Impersonation
from .invalidation import InvalidationEntry
from .keys import ApiKey, ServiceKey
from .oauth import OAuthGrant, OAuthToken
from .operations import AlertDelivery, OperatorAlert, SavedView, WorkItem
from .organizations import Invitation, Membership, Organization
from .users import User

__all__ = [
    "AlertDelivery",
    "ApiKey",
    "AuditEvent",
    "Impersonation",
    "InvalidationEntry",
    "Invitation",
    "Membership",
    "OAuthGrant",
    "OAuthToken",
    "OperatorAlert",
    "Organization",
    "SavedView",
    "ServiceKey",
    "User",
    "WorkItem",
]
