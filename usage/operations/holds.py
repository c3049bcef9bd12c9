"""Settle and release holds."""

from uuid import UUID

from usage.decision.results import HoldSettled
from usage.store.holds import build_settlement
from usage.types import SettleHold

from .caller import UsageCaller, call_database
from .effects import CallDatabase, Operation
from .events import execute_command


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
