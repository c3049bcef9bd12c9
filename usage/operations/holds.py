"""Create, settle and release holds."""

from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from usage.authorize.requests import Request
from usage.decision.results import Authorized, HoldSettled
from usage.store.holds import build_settlement
from usage.types import Quota, SettleHold, UsageSubject

from .authorization import build_command, execute_authorization
from .caller import UsageCaller, call_database
from .effects import CallDatabase, Operation
from .events import execute_command


class Held(Struct, frozen=True):
    """A granted request. `release` is the command that releases its hold.

    `release` is None if the request has no hold, or if it repeats an earlier request. In that case, the earlier response names the hold.
    """

    authorized: Authorized
    release: SettleHold | None = None


def hold(caller: UsageCaller, request: Request, key: str | None = None) -> Operation[Held]:
    """Authorize a request. If it has a hold, `execute_settlement` can end the hold without reading it first.

    Raises the errors of `authorize`.
    """
    command = yield from build_command(caller, request, key)
    authorized = yield from execute_authorization(command)
    item = command.items[0]
    if command.hold is None or authorized.replayed or not isinstance(item, Quota):
        return Held(authorized)
    # The command has no API key, so that a reserved call is settled even if the key was revoked in the meantime.
    subject = UsageSubject(command.subject.organization)
    return Held(authorized, SettleHold(subject, command.hold.id, item.feature, item.period, None, tool=request.tool))


def execute_settlement(release: SettleHold, amount: int | None) -> Operation[HoldSettled]:
    """Settle the hold of `release` with `amount` units, or release it if `amount` is None. Raises the errors of `end_hold`."""
    result = yield from execute_command(replace(release, amount=amount))
    assert isinstance(result, HoldSettled)
    return result


def end_hold(caller: UsageCaller, hold_id: UUID, amount: int | None, tool: str = "") -> Operation[HoldSettled]:
    """Settle a hold with `amount` units, or release it if `amount` is None. A repeated call returns the same result.

    `tool` is the MCP tool that used the units, for reports.

    If a service key ends a hold with less than it held, this is written to the audit log in the same transaction.

    Raises:
        NotFound: the organization has no such hold.
        HoldAlreadyEnded: it was settled with another amount or released.
        KeyRevoked: the API key was revoked.
        TemporarilyUnavailable: PostgreSQL is unreachable.
    """
    command = yield from call_database(CallDatabase(build_settlement, (caller.subject, hold_id, amount, caller.service, tool)))
    assert isinstance(command, SettleHold)
    result = yield from execute_command(command)
    assert isinstance(result, HoldSettled)
    return result
