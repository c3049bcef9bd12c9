"""Respond while PostgreSQL is unreachable, according to each feature's failure mode."""

import logging
from uuid import UUID

from contextmcp.common.ids import uuid7
from usage.authorize import fingerprints
from usage.decision.quota import stateless_result
from usage.decision.results import Authorized, build_response
from usage.errors import TemporarilyUnavailable
from usage.spool.spool import spool_dir
from usage.types import AuthorizeCommand, Gauge, GaugeDecrease, ItemResult, Kind, LineItem, Quota

from .effects import AppendToSpool, Operation

log = logging.getLogger(__name__)
_GAUGES = (Gauge, GaugeDecrease)


def assign_replay_key(command: AuthorizeCommand) -> None:
    """Generate an idempotency key for a command that has none and may have to be spooled. Call it before deciding.

    If the connection fails after the commit, the replay of the spooled command finds the key and does not count twice.
    """
    if command.digest is None and spool_dir() is not None and first_fail_closed_item(command) is None:
        command.digest = fingerprints.key_digest(str(uuid7()))
        command.fingerprint = fingerprints.request_fingerprint([(item.feature, item.amount) for item in command.items])


def first_fail_closed_item(command: AuthorizeCommand) -> LineItem | None:
    """Return the first item that must be refused during an outage. All items of a hold are refused, because a hold must be stored."""
    return next((item for item in command.items if command.hold is not None or _failure_mode(item) != "fail_open"), None)


def respond_during_outage(command: AuthorizeCommand) -> Operation[Authorized]:
    """Grant the command and spool it. If no spool is configured or it cannot be written, the response contains `recorded: false`.

    Raises `TemporarilyUnavailable` if an item fails closed.
    """
    if (item := first_fail_closed_item(command)) is not None:
        raise TemporarilyUnavailable(feature=item.feature, retry_after=1)
    if command.service is not None:
        ids = {"organization": str(command.subject.organization_id), "service_key": str(command.service.service_key)}
        changes = {"items": [(item.feature, item.amount) for item in command.items], "key": str(UUID(bytes=command.subject.key))}
        log.error("a correction was granted during an outage without an audit event", extra={**ids, **changes})
    if spool_dir() is not None and command.digest is not None:
        authorized = _grant_uncounted(command, recorded=True)
        try:
            yield AppendToSpool(command, authorized.body)
        except OSError as failure:
            log.error("the spool cannot be written: %s", failure.strerror)
        else:
            return authorized
    return _grant_uncounted(command, recorded=False)


def _grant_uncounted(command: AuthorizeCommand, *, recorded: bool) -> Authorized:
    return build_response(command, [_uncounted_result(item) for item in command.items], recorded=recorded)


def _failure_mode(item: LineItem) -> str:
    if isinstance(item, Quota):
        return item.entitlement.failure_mode
    return item.failure_mode if isinstance(item, _GAUGES) else "fail_open"


def _uncounted_result(item: LineItem) -> ItemResult:
    if isinstance(item, Quota):
        return ItemResult(item.feature, Kind.QUOTA, item.amount, None, item.entitlement.limit, None, 0, item.period.end)
    if isinstance(item, _GAUGES):
        return ItemResult(item.feature, Kind.GAUGE, item.amount, None, item.limit)
    return stateless_result(item)
