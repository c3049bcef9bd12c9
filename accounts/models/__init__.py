"""Models of accounts: users, organizations, keys, connected apps, the audit log, and the state of operating the service."""

from .audit import AuditEvent
from .exports import DataExport, DataExportChunk
from .impersonation import Impersonation
from .invalidation import InvalidationEntry
from .keys import ApiKey, ServiceKey
from .notifications import NotificationChoice
from .oauth import OAuthGrant, OAuthToken
from .operations import AlertDelivery, OperatorAlert, SavedView, WorkItem
from .organizations import Invitation, Membership, Organization
from .users import User

__all__ = [
    "AlertDelivery",
    "ApiKey",
    "AuditEvent",
    "DataExport",
    "DataExportChunk",
    "Impersonation",
    "InvalidationEntry",
    "Invitation",
    "Membership",
    "NotificationChoice",
    "OAuthGrant",
    "OAuthToken",
    "OperatorAlert",
    "Organization",
    "SavedView",
    "ServiceKey",
    "User",
    "WorkItem",
]
