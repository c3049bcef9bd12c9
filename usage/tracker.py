"""The Python interface of metering: authorize, record and report one organization's usage."""

from uuid import UUID

from accounts.models import Organization
from accounts.types import Caller
from contextmcp.common.errors import DomainError
from entitlements.manager import EntitlementsManager
from entitlements.types import Entitlements

from . import overage_settings
from .authorize.requests import DEFAULT_HOLD_SECONDS, Request
from .decision.results import Authorized, HoldSettled
from .ingest.event_parsing import EventBody
from .models import OverageSetting
from .operations import authorization, events, gauges, holds, reports
from .operations.caller import UsageCaller
from .operations.sync_driver import drive
from .selectors import CurrentUsage
from .types import AuthorizeManyResult, AuthorizeResult, EventResult, Item, ItemResult, ServiceContext, UsageSubject


class UsageTracker:
    """Operations on one organization's usage. Usage is counted for `subject`; the default is the organization without a key or member.

    Every method raises `TemporarilyUnavailable` if PostgreSQL is unreachable, unless a feature's failure mode allows the call.
    """

    def __init__(self, organization: Organization, subject: UsageSubject | None = None, service: ServiceContext | None = None) -> None:
        self.organization = organization
        self.subject = subject or UsageSubject.of(organization.pk)
        # The service key that acts for the organization, or None. Its corrections are written to the audit log.
        self.service = service

    @classmethod
    def of(cls, caller: Caller) -> "UsageTracker":
        """Return the tracker for an authenticated caller."""
        usage_caller = UsageCaller.of_caller(caller)
        return cls(caller.organization, usage_caller.subject, usage_caller.service)

    @property
    def caller(self) -> UsageCaller:
        """Return the caller that the operations run for."""
        organization = self.organization
        return UsageCaller(organization.pk, self.subject, organization.clock_offset, organization.created_at, self.service)

    @property
    def entitlements(self) -> Entitlements:
        """Return the organization's current entitlements."""
        return EntitlementsManager(self.organization).entitlements()

    def consume(self, feature: str, amount: int = 1, *, idempotency_key: str | None = None) -> AuthorizeResult | AuthorizeManyResult | None:
        """Record `amount` units of a feature, or raise the refusal and record nothing.

        Returns None if an earlier call with this idempotency key has already succeeded.
        """
        return self.authorize(Request([Item(feature, amount)]), idempotency_key).answer

    def hold(self, feature: str, amount: int, *, seconds: int = DEFAULT_HOLD_SECONDS, idempotency_key: str | None = None) -> Authorized:
        """Reserve `amount` units, to be settled or released within `seconds`. Raises the errors of `authorize`."""
        return self.authorize(Request([Item(feature, amount)], hold_seconds=seconds), idempotency_key)

    def authorize(self, request: Request, idempotency_key: str | None = None) -> Authorized:
        """Record all items of the request, or none. Raises the refusals of `usage.operations.authorization.authorize`."""
        return drive(authorization.authorize(self.caller, request, idempotency_key))

    def check(self, item: Item) -> ItemResult:
        """Return what `authorize` would decide, without recording anything. Raises the errors of `authorize`."""
        result = drive(authorization.check(self.caller, item)).result
        if isinstance(result, DomainError):
            raise result
        return result

    def record_events(self, bodies: list[EventBody | DomainError]) -> list[EventResult]:
        """Record usage events regardless of limits and return one result per event, in order. Raises `KeyRevoked`."""
        return drive(events.record_events(self.caller, bodies))

    def settle(self, hold_id: UUID, amount: int) -> HoldSettled:
        """Settle a hold with the actual amount in units, which may be more or less than was held.

        Raises:
            NotFound: the organization has no such hold.
            HoldAlreadyEnded: it was settled with another amount or released.
        """
        return drive(holds.end_hold(self.caller, hold_id, amount))

    def release_hold(self, hold_id: UUID) -> HoldSettled:
        """Release a hold without recording usage. Raises `NotFound`, or `HoldAlreadyEnded` if it was settled."""
        return drive(holds.end_hold(self.caller, hold_id, None))

    def current(self) -> CurrentUsage:
        """Return the current usage and limit of each quota, gauge and rate limit."""
        return drive(reports.current_usage(self.caller))

    def set_gauge(self, feature: str, value: int) -> ItemResult:
        """Set the units of a gauge that are in use. They may exceed the limit. Raises `FeatureNotAvailable` or `ValidationFailed`."""
        return drive(gauges.set_gauge(self.caller, feature, value))

    def decrease_gauge(self, feature: str, amount: int = 1, *, idempotency_key: str | None = None) -> Authorized:
        """Decrease a gauge by `amount` units. Raises `ReleaseExceedsUsage` if less is in use."""
        return drive(gauges.decrease_gauge(self.caller, feature, amount, idempotency_key))

    def set_overage(self, feature: str, *, enabled: bool, cap_minor: int, currency: str) -> OverageSetting:
        """Enable or disable overage, with a cap of `cap_minor` (minor units of `currency`) per usage month."""
        return overage_settings.set_overage(self.organization, feature, enabled=enabled, cap_minor=cap_minor, currency=currency)

    def disable_overage(self) -> None:
        """Disable overage for all features."""
        overage_settings.disable_overage(self.organization)
