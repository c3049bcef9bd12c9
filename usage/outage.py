"""Postgres cannot be reached: each feature's declared policy holds."""

import logging

from contextmcp.common.ids import uuid7

from . import decide, digests, limits
from .errors import TemporarilyUnavailable
from .spool import keeper
from .types import Ask, GiveBack, ItemAnswer, Kind, Level, Part, Quota

log = logging.getLogger(__name__)


def prepare(ask: Ask) -> None:
    """Before it is decided. What may have to be spooled gets a key of its own: a commit whose answer was lost is known again by it."""
    if ask.digest is None and keeper.folder() is not None and refuses(ask) is None:
        ask.digest = digests.of_key(str(uuid7()))
        ask.fingerprint = digests.of_request([(part.feature, part.amount) for part in ask.parts])


def refuses(ask: Ask) -> Part | None:
    """What of it cannot be granted uncounted. A hold never can: it is a promise to remember something."""
    return next((part for part in ask.parts if ask.hold is not None or _policy(part) != "allow"), None)


def answer(ask: Ask, error: BaseException | None = None) -> decide.Granted:
    """Granted, spooled where a spool is declared, and marked as not recorded where not. Or raises `TemporarilyUnavailable`.

    Waits for the disk.
    """
    if (part := refuses(ask)) is not None:
        raise TemporarilyUnavailable(feature=part.feature, retry_after=1) from error
    place = keeper.folder()
    if place is not None and ask.digest is not None:
        granted = _granted(ask, recorded=True)
        keeper.SPOOL.start(place)
        try:
            keeper.SPOOL.keep(place, ask, granted.body)
        except OSError as fault:
            log.error("the spool cannot be written: %s", fault.strerror)
        else:
            return granted
    return _granted(ask, recorded=False)


def _granted(ask: Ask, *, recorded: bool) -> decide.Granted:
    return decide.grant(ask, [_uncounted(part) for part in ask.parts], recorded=recorded)


def _policy(part: Part) -> str:
    if isinstance(part, Quota):
        return part.allowance.on_outage
    return part.on_outage if isinstance(part, Level | GiveBack) else "allow"


def _uncounted(part: Part) -> ItemAnswer:
    if isinstance(part, Quota):
        return ItemAnswer(part.feature, Kind.QUOTA, part.amount, None, part.allowance.limit, None, 0, part.period.end)
    if isinstance(part, Level | GiveBack):
        return ItemAnswer(part.feature, Kind.LIMIT, part.amount, None, part.limit)
    return limits.still_answer(part)
