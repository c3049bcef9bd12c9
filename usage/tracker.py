"""The façade: what one organization used, and whether it may use more."""

from datetime import UTC, datetime
from uuid import UUID

from django.db import transaction

from accounts.models import Organization
from accounts.selectors import team_members_count
from accounts.types import Caller
from contextmcp.common.clock import now
from contextmcp.common.errors import DomainError
from entitlements.manager import EntitlementsManager
from entitlements.types import Entitlements

from . import asking, gate, holds, ingest, levels, overage, selectors, store, trail
from .decide import Counted, Granted, Settled
from .histories import history_of
from .models import OverageSetting
from .requests import HELD_SECONDS, Request
from .types import NO_KEY, NOBODY, Answer, Answers, Ask, Item, ItemAnswer, Report, Verdict, Who


class UsageTracker:
    """Everything about what one organization used. `who` is on whose account it goes: by default the organization's own."""

    def __init__(self, organization: Organization, who: Who | None = None, service_key: UUID | None = None) -> None:
        self.organization = organization
        self.who = who or Who.of(organization.pk)
        # The service key that acts for the organization. What it lowers leaves audit events.
        self.service_key = service_key

    @classmethod
    def of(cls, caller: Caller) -> "UsageTracker":
        who = Who.of(
            caller.organization.pk,
            caller.key.pk if caller.key else NO_KEY,
            caller.user.pk if caller.user else NOBODY,
        )
        return cls(caller.organization, who, caller.service.key_id if caller.service else None)

    @property
    def entitlements(self) -> Entitlements:
        return EntitlementsManager(self.organization).entitlements()

    def consume(self, feature: str, amount: int = 1, *, idempotency_key: str | None = None) -> Answer | Answers | None:
        """Count `amount`, or raise why not and count nothing. None when an earlier call with this key was answered."""
        return self.authorize(Request([Item(feature, amount)]), idempotency_key).answer

    def hold(self, feature: str, amount: int, *, seconds: int = HELD_SECONDS, idempotency_key: str | None = None) -> Granted:
        """Reserve `amount`; settle or release it within `seconds`."""
        return self.authorize(Request([Item(feature, amount)], hold_seconds=seconds), idempotency_key)

    def authorize(self, request: Request, idempotency_key: str | None = None) -> Granted:
        """Everything in the request or nothing: FeatureNotAvailable, RateLimited, QuotaExceeded, LimitReached, OverageCapReached, ..."""
        return gate.authorize(self._ask(request, idempotency_key))

    def check(self, item: Item) -> ItemAnswer:
        """What `authorize` would do; counts nothing. Raises what it would raise."""
        return gate.check(self._ask(Request([item])))

    def _ask(self, request: Request, key: str | None = None) -> Ask:
        members = team_members_count(self.organization) if asking.needs_members(request) else 0
        at = now(self.organization)
        return asking.ask(self.who, self.entitlements, request, at=at, real=datetime.now(UTC), key=key, members=members)

    def record_events(self, bodies: list[ingest.EventBody | DomainError]) -> list[tuple[Verdict, DomainError | None]]:
        """Count what happened, whatever the limits. One verdict for each, in order. Raises KeyRevoked."""
        understood = ingest.understand(bodies, now(self.organization), history_of(self.entitlements))
        good = [event for event in understood if not isinstance(event, DomainError)]
        verdicts = iter(self._counted(Report(self.who, good)) if good else ())
        return [(Verdict.REFUSED, event) if isinstance(event, DomainError) else next(verdicts) for event in understood]

    def _counted(self, report: Report) -> list[tuple[Verdict, DomainError | None]]:
        with transaction.atomic():
            outcome = store.execute([report])[0]
            if isinstance(outcome, DomainError):
                raise outcome
            assert isinstance(outcome, Counted)
            if self.service_key is not None and (totals := trail.corrections(report.events, outcome.verdicts)):
                trail.record_corrections(self.organization.pk, self.service_key, totals)
            return outcome.verdicts

    def settle(self, hold_id: UUID, amount: int) -> Settled:
        """Count the true amount of a hold, more or less than was held. NotFound, or Conflict when it was settled otherwise."""
        return self._ended(hold_id, amount)

    def release_hold(self, hold_id: UUID) -> Settled:
        """Count nothing of a hold."""
        return self._ended(hold_id, None)

    def _ended(self, hold_id: UUID, amount: int | None) -> Settled:
        with transaction.atomic():
            ended = holds.end(self.who, hold_id, amount)
            if self.service_key is not None and trail.lowers(ended):
                trail.record_end(self.organization.pk, self.service_key, ended)
            return ended

    def current(self) -> selectors.Current:
        """Each meter, level and limit as it stands."""
        return selectors.current(self.entitlements, now(self.organization))

    def state_level(self, feature: str, value: int) -> ItemAnswer:
        """Say how much of a level is in use: the truth, even above the limit."""
        with transaction.atomic():
            answer, before = levels.state(self.organization, self.entitlements, feature, value)
            if self.service_key is not None and value < before:
                trail.record_level(self.organization.pk, self.service_key, feature, before=before, value=value)
            return answer

    def release(self, feature: str, amount: int = 1, *, idempotency_key: str | None = None) -> Granted:
        """Give back part of a level. Conflict when less than that is in use."""
        return gate.authorize(
            levels.give_back(self.who, self.entitlements, feature, amount, at=now(self.organization), key=idempotency_key)
        )

    def set_overage(self, feature: str, *, enabled: bool, cap_minor: int, currency: str) -> OverageSetting:
        """Buy beyond the allowance, for at most `cap_minor` a period; or stop."""
        return overage.set_overage(self.organization, feature, enabled=enabled, cap_minor=cap_minor, currency=currency)

    def stop_overage(self) -> None:
        """Buy nothing more beyond the allowance of anything."""
        overage.stop_overage(self.organization)
