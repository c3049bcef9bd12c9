"""Authorize and check.

The order matters. First, `build` refuses features that the plan does not include. Then all rate limits are acquired, or none, because they
protect PostgreSQL. Quotas and gauges follow in one transaction. If the transaction refuses the call, the rate limits are released, so that
a refused call consumes nothing.
"""

from datetime import datetime

from msgspec import Struct

from contextmcp.common.clock import now
from contextmcp.common.errors import DomainError, ValidationFailed
from entitlements.manager import EntitlementsManager
from entitlements.types import Entitlements
from usage.authorize import build
from usage.authorize.requests import Request
from usage.decision.decide import replay_or_conflict
from usage.decision.quota import evaluate_gauge, evaluate_quota, stateless_result
from usage.decision.results import Authorized, CommandResult, build_response
from usage.decision.rows import Counter, IdempotencyRecord, LockedRows
from usage.errors import RateLimited, TemporarilyUnavailable
from usage.store import executor
from usage.types import AuthorizeCommand, Flag, Gauge, Item, ItemResult, LineItem, Quota, Rate

from .caller import UsageCaller, call_database, count_members, load_entitlements
from .effects import CallDatabase, CountDecision, DatabaseUnreachable, ExecuteCommand, Operation, ReadUnlocked
from .outage import assign_replay_key, respond_during_outage
from .rates import acquire_rates, release_rates

# Tuples, because a union type would be built again by each call of `isinstance`.
_STATELESS = (Rate, Flag)
_COUNTED = (Quota, Gauge)
_COUNT_ALLOWED = CountDecision("allowed")


def authorize(caller: UsageCaller, request: Request, key: str | None = None) -> Operation[Authorized]:
    """Record all items of the request and return the response, or record none. `key` is the idempotency key.

    Raises:
        FeatureNotAvailable, UnknownFeature, PlanInactive, PaymentRequired: the plan does not allow the request.
        RateLimited, QuotaExceeded, OverageCapReached, LimitReached: an amount does not fit.
        IdempotencyConflict: the key was used with another request.
        KeyRevoked: the API key was revoked.
        TemporarilyUnavailable: PostgreSQL or Valkey is unreachable and a feature fails closed.
    """
    command = yield from build_command(caller, request, key)
    return (yield from execute_authorization(command))


def build_command(caller: UsageCaller, request: Request, key: str | None = None) -> Operation[AuthorizeCommand]:
    """Build the command of a request from the caller's entitlements. Raises the refusals of the plan, as `authorize` does."""
    real = now()
    at = caller.time(real)
    try:
        entitlements = EntitlementsManager.cached(caller.organization_id, at) or (yield from load_entitlements(caller, at))
        members = (yield from _count_members(caller)) if build.requires_member_count(request) else 0
        return build.build_authorization(caller.subject, entitlements, request, at=at, real=real, key=key, members=members)
    except DomainError as refusal:
        yield CountDecision(refusal.code)
        raise


def _count_members(caller: UsageCaller) -> Operation[int]:
    members = yield from call_database(CallDatabase(count_members, (caller,)))
    assert isinstance(members, int)
    return members


def execute_authorization(command: AuthorizeCommand) -> Operation[Authorized]:
    """Record the amounts of a built command and return the response. Raises the refusal and records nothing if an item is refused."""
    try:
        authorized = yield from _acquire_and_execute(command)
    except DomainError as refusal:
        yield CountDecision(refusal.code)
        raise
    yield _COUNT_ALLOWED
    return authorized


def _acquire_and_execute(command: AuthorizeCommand) -> Operation[Authorized]:
    rates = [item for item in command.items if isinstance(item, Rate)]
    permit = None
    if rates:
        try:
            permit = yield from acquire_rates(command.subject, rates, command.at)
        except RateLimited as refusal:
            return (yield from _replay_or_raise(command, refusal))
    if not command.durable:
        return build_response(command, [stateless_result(item) for item in command.items if isinstance(item, _STATELESS)])
    assign_replay_key(command)
    result: CommandResult
    try:
        try:
            result = yield ExecuteCommand(command)
        except DatabaseUnreachable:
            result = yield from respond_during_outage(command)
    except GeneratorExit:
        raise
    except BaseException:
        yield from release_rates(permit)
        raise
    # A call that was refused, or that repeats an earlier call, records nothing, so its rate limits are released.
    if permit is not None and (not isinstance(result, Authorized) or result.replayed):
        yield from release_rates(permit)
    return _unwrap(result)


def _unwrap(result: CommandResult) -> Authorized:
    if isinstance(result, DomainError):
        raise result
    assert isinstance(result, Authorized)
    return result


def _replay_or_raise(command: AuthorizeCommand, refusal: RateLimited) -> Operation[Authorized]:
    """Return the stored response if the request repeats an earlier one. Otherwise raise `refusal`, because the rate limit is reached."""
    if command.digest is None:
        raise refusal
    effect = CallDatabase(executor.find_idempotency_record, (command.subject.organization, command.digest))
    record = yield from call_database(effect)
    if record is None:
        raise refusal
    assert isinstance(record, IdempotencyRecord)
    return _unwrap(replay_or_conflict(command, record))


class Decision(Struct):
    """What `check` returns: the plan, and the result that `authorize` would return, or the refusal that it would raise."""

    plan: str
    result: ItemResult | DomainError


def check(caller: UsageCaller, item: Item) -> Operation[Decision]:
    """Return what `authorize` would decide, without recording anything.

    `used` and `remaining` of the result are the current values, without the requested amount. Raises `ValidationFailed` if the item cannot
    be checked, and `TemporarilyUnavailable` if the entitlements cannot be read.
    """
    real = now()
    at = caller.time(real)
    entitlements = EntitlementsManager.cached(caller.organization_id, at) or (yield from load_entitlements(caller, at))
    result: ItemResult | DomainError
    try:
        result = yield from _simulate_item(caller, entitlements, item, at=at, real=real)
    except ValidationFailed:
        raise
    except DomainError as refusal:
        result = refusal
    return Decision(entitlements.plan, result)


def _simulate_item(
    caller: UsageCaller, entitlements: Entitlements, checked: Item, *, at: datetime, real: datetime
) -> Operation[ItemResult | DomainError]:
    request = Request([checked])
    members = (yield from _count_members(caller)) if build.requires_member_count(request) else 0
    command = build.build_authorization(caller.subject, entitlements, request, at=at, real=real, members=members)
    item = command.items[0]
    if isinstance(item, Rate):
        yield from acquire_rates(command.subject, [item], at, peek=True)
        return stateless_result(item)
    if isinstance(item, Flag):
        return stateless_result(item)
    try:
        state = yield ReadUnlocked(command)
    except DatabaseUnreachable:
        raise TemporarilyUnavailable(feature=item.feature, retry_after=1) from None
    return _without_request(item, _evaluate(command, state))


def _evaluate(command: AuthorizeCommand, state: LockedRows) -> ItemResult | DomainError:
    """Evaluate a quota or gauge item against rows that were read without locks."""
    item = command.items[0]
    organization = command.subject.organization
    if isinstance(item, Quota):
        counter = state.counters.get((organization, item.feature, item.period.start)) or Counter(0, 0, 0)
        return evaluate_quota(item, counter, command.at)
    assert isinstance(item, Gauge)
    row = state.gauges.get((organization, item.feature))
    return evaluate_gauge(item, item.derived_value if item.derived_value is not None else row.value if row else 0)


def _without_request(item: LineItem, result: ItemResult | DomainError) -> ItemResult | DomainError:
    """Subtract the requested amount from the result, because `check` records nothing."""
    if isinstance(result, ItemResult) and isinstance(item, _COUNTED) and result.used is not None:
        result.used -= item.amount
        result.overage = max(0, result.overage - item.amount)
        if result.limit is not None:
            result.remaining = max(0, result.limit - result.used)
    return result
