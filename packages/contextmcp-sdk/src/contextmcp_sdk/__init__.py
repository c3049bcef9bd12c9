"""Plans, quotas and rate limits of ContextMCP for your own server.

from contextmcp_sdk import Client, QuotaExceeded

with Client("cmcp_svc_test_...", url="https://contextmcp.example") as client:
    customer = client.for_customer(credential=their_api_key)
    with customer.hold("sessions", 5) as hold:
        customer.settle_hold(hold, do_the_work())
"""

from .async_client import AsyncClient
from .buffer import EventBuffer
from .client import Client
from .errors import ContextMCPError, InvalidResponse, Refusal, ServiceUnreachable
from .exchange import Retries
from .journal import JournalFull
from .operations import Hold
from .pricing import Price, Pricing, PricingError, load_pricing
from .refusals import (
    AddressTooLong,
    CredentialsMissing,
    CustomerNotFound,
    CustomerRequired,
    EnvironmentMismatch,
    FeatureNotAvailable,
    HeadersTooLarge,
    HoldAlreadyEnded,
    IdempotencyConflict,
    InsufficientScope,
    InvalidKeyFormat,
    KeyExpired,
    KeyNotFound,
    KeyRevoked,
    LimitReached,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    OverageCapReached,
    Overloaded,
    PayloadTooLarge,
    PaymentRequired,
    PermissionDenied,
    PlanInactive,
    QuotaExceeded,
    RateLimited,
    ReauthenticationRequired,
    ReleaseExceedsUsage,
    RequestTimeout,
    ServerError,
    ServiceKeyRequired,
    SigningNotConfigured,
    TemporarilyUnavailable,
    ToolNotAvailable,
    UnknownParameter,
    UnreadableRequest,
    UnsupportedMediaType,
    ValidationFailed,
)
from .types import Authorized, CurrentUsage, Customer, Decision, Entitlements, EventsResult, FailureMode, UsageEvent

__all__ = [
    "AddressTooLong",
    "AsyncClient",
    "Authorized",
    "Client",
    "ContextMCPError",
    "CredentialsMissing",
    "CurrentUsage",
    "Customer",
    "CustomerNotFound",
    "CustomerRequired",
    "Decision",
    "Entitlements",
    "EnvironmentMismatch",
    "EventBuffer",
    "EventsResult",
    "FailureMode",
    "FeatureNotAvailable",
    "HeadersTooLarge",
    "Hold",
    "HoldAlreadyEnded",
    "IdempotencyConflict",
    "InsufficientScope",
    "InvalidKeyFormat",
    "InvalidResponse",
    "JournalFull",
    "KeyExpired",
    "KeyNotFound",
    "KeyRevoked",
    "LimitReached",
    "MalformedRequest",
    "MethodNotAllowed",
    "NotFound",
    "OverageCapReached",
    "Overloaded",
    "PayloadTooLarge",
    "PaymentRequired",
    "PermissionDenied",
    "PlanInactive",
    "Price",
    "Pricing",
    "PricingError",
    "QuotaExceeded",
    "RateLimited",
    "ReauthenticationRequired",
    "Refusal",
    "ReleaseExceedsUsage",
    "RequestTimeout",
    "Retries",
    "ServerError",
    "ServiceKeyRequired",
    "ServiceUnreachable",
    "SigningNotConfigured",
    "TemporarilyUnavailable",
    "ToolNotAvailable",
    "UnknownParameter",
    "UnreadableRequest",
    "UnsupportedMediaType",
    "UsageEvent",
    "ValidationFailed",
    "load_pricing",
]
