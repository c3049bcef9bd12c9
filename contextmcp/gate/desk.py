"""What Django's views and `UsageTracker` do, on an event loop: parse, ask, take, count, answer."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

from django.conf import settings
from django.db import OperationalError, close_old_connections, connections
from msgspec import Struct
from psycopg.conninfo import make_conninfo

from accounts.models import Organization
from accounts.selectors import team_members_count
from accounts.types import Principal, ServicePrincipal
from contextmcp.common.errors import DomainError, UnsupportedMediaType, ValidationFailed
from entitlements.manager import EntitlementsManager
from entitlements.types import Entitlements
from usage import asking, decide, gate, holds, ingest, limits, outage, rates, requests, results, selectors, store, trail
from usage.encoding import rate_headers, to_json
from usage.errors import RateLimited, TemporarilyUnavailable
from usage.histories import history_of
from usage.spool import keeper
from usage.types import Ask, Flag, Item, ItemAnswer, Rate, Report, Verdict, Who

from .batch import Commits, Peeks, Standing
from .http import Reply
from .postgres import Gone, Pipe
from .valkey import Unavailable, Valkey
from .wire import SETTINGS, STATEMENTS

log = logging.getLogger(__name__)
T = TypeVar("T")
# A Postgres that has not said in this time who somebody is, or what they may, is taken for gone.
LOAD_SECONDS = 5.0
_NO_TIME = timedelta()
_JSON = ("content-type", "application/json")
_REPLAYED = [_JSON, ("idempotent-replayed", "true")]


class Request(Struct):
    principal: Principal
    headers: Mapping[str, str]
    body: bytes
    place: UUID | None
    query: str = ""
    # The service key that acts for the principal, if one does.
    service: ServicePrincipal | None = None


def address() -> bytes:
    """Of Django's database, as libpq reads it."""
    known = connections["default"].get_connection_params()
    wanted = {
        name: value for name, value in known.items() if name in {"host", "port", "user", "password", "dbname", "sslmode", "sslrootcert"}
    }
    return make_conninfo("", **wanted, connect_timeout=3).encode()


class Desk:
    """Its connections are made when first used, and again after they were lost."""

    def __init__(self) -> None:
        where = address()
        self._commits = Commits(lambda: Pipe(where, STATEMENTS, SETTINGS))
        self._peeks = Peeks(lambda: Pipe(where, STATEMENTS, SETTINGS))
        self._valkey = Valkey(settings.REDIS_URL) if settings.REDIS_URL else None
        self._threads = ThreadPoolExecutor(4, "gate-rows")
        self._spoolers: ThreadPoolExecutor | None = None
        if (place := keeper.folder()) is not None:
            # As many as may share one wait for the disk.
            self._spoolers = ThreadPoolExecutor(64, "gate-spool")
            keeper.SPOOL.start(place)

    async def _in_thread(self, work: Callable[..., T], *values: Any) -> T:
        """For what asks Django's ORM."""

        def run() -> T:
            close_old_connections()
            return work(*values)

        running = asyncio.get_running_loop().run_in_executor(self._threads, run)
        try:
            return await asyncio.wait_for(running, LOAD_SECONDS)
        except TimeoutError:
            # A Postgres that neither answers nor refuses is as good as none.
            raise OperationalError("no answer in time") from None

    async def _found(self, work: Callable[..., T], *values: Any) -> T:
        """The same where there is no going on without Postgres."""
        try:
            return await self._in_thread(work, *values)
        except store.Unreachable:
            raise TemporarilyUnavailable(retry_after=1) from None

    async def _entitlements(self, principal: Principal, at: datetime) -> Entitlements:
        kept = EntitlementsManager.cached(principal.organization_id, at)
        if kept is not None:
            return kept
        try:
            return await self._in_thread(read_entitlements, principal)
        except store.Unreachable:
            kept = EntitlementsManager.cached(principal.organization_id, at, stale=True)
            if kept is None:
                raise TemporarilyUnavailable(retry_after=1) from None
            return kept

    async def authorize(self, request: Request) -> Reply:
        principal = request.principal
        principal.require(scope="usage:write")
        _json(request)
        wanted, key = requests.authorize(request.body), requests.idempotency_key(request.headers.get("idempotency-key"))
        ask = await self._ask(principal, wanted, key)
        granted = await self._granted(ask)
        if granted.answer is None:
            return Reply(200, _REPLAYED, granted.body)
        headers = [_JSON, *((name.lower(), value) for name, value in rate_headers(granted.answer, ask.at).items())]
        return Reply(200, headers, granted.body)

    async def _ask(self, principal: Principal, wanted: requests.Request, key: str | None = None) -> Ask:
        real, at = _times(principal)
        entitlements = await self._entitlements(principal, at)
        members = 0
        if asking.needs_members(wanted):
            members = await self._found(_members, principal.organization_id)
        return asking.ask(_who(principal), entitlements, wanted, at=at, real=real, key=key, members=members)

    async def _granted(self, ask: Ask) -> decide.Granted:
        """As `gate.authorize`."""
        wanted = gate.rates_of(ask)
        try:
            taken = await self._take(ask, wanted) if wanted else None
        except RateLimited as refusal:
            return await self._found(gate.repeat_or, ask, refusal)
        if not ask.durable:
            return decide.grant(ask, [limits.still_answer(part) for part in ask.parts if isinstance(part, Rate | Flag)])
        outcome: decide.Outcome | None = None
        try:
            outcome = await self._counted(ask)
        finally:
            if taken is not None and (outcome is None or not gate.fresh(outcome)):
                await self._give_back(taken)
        return gate.granted(outcome)

    async def _counted(self, ask: Ask) -> decide.Outcome:
        outage.prepare(ask)
        try:
            outcome: decide.Outcome = await self._commits.submit(ask)
        except Gone as error:
            if self._spoolers is None or outage.refuses(ask):
                return outage.answer(ask, error)
            # It waits for the disk.
            return await asyncio.get_running_loop().run_in_executor(self._spoolers, outage.answer, ask, error)
        return outcome

    async def _take(self, ask: Ask, wanted: list[Rate], *, peek: bool = False) -> rates.Taken | None:
        windows = rates.windows(ask.who, wanted)
        if not windows:
            return None
        keys, values = rates.arguments(windows, peek=peek)
        try:
            if self._valkey is None:
                raise Unavailable("none is configured")
            answer = await self._valkey.script(rates.TAKE, keys, values)
        except Unavailable:
            rates.gone(windows)
            return None
        return rates.understand(windows, answer, ask.at)

    async def _give_back(self, taken: rates.Taken) -> None:
        if self._valkey is not None:
            try:
                await self._valkey.script(rates.GIVE_BACK, [window.name for window in taken.windows], rates.returned(taken))
            except Unavailable:
                return

    async def check(self, request: Request) -> Reply:
        principal = request.principal
        principal.require(scope="entitlements:read")
        _json(request)
        item = requests.check(request.body)
        entitlements = await self._entitlements(principal, _times(principal)[1])
        decision: ItemAnswer | DomainError
        try:
            decision = await self._checked(principal, item)
        except ValidationFailed:
            raise
        except DomainError as refusal:
            decision = refusal
        return Reply(200, [_JSON], gate.verdict(item.feature, item.amount, decision, entitlements.plan))

    async def _checked(self, principal: Principal, item: Item) -> ItemAnswer:
        """As `gate.check`."""
        ask = await self._ask(principal, requests.Request([item]))
        one = ask.parts[0]
        if isinstance(one, Rate | Flag):
            if isinstance(one, Rate):
                await self._take(ask, [one], peek=True)
            return limits.still_answer(one)
        try:
            state = await self._peeks.submit(ask)
        except Gone:
            raise TemporarilyUnavailable(feature=item.feature, retry_after=1) from None
        return gate.standing(one, gate.would(ask, state))

    async def current(self, request: Request) -> Reply:
        principal = request.principal
        principal.require(scope="usage:read")
        known = () if request.service is None else ("organizationId",)
        requests.refuse_parameters(name for name, _ in parse_qsl(request.query, keep_blank_values=True) if name not in known)
        at = _times(principal)[1]
        entitlements = await self._entitlements(principal, at)
        period = selectors.period_at(entitlements, at)
        try:
            rows = await self._peeks.submit(Standing(principal.organization_id.bytes, period.start))
        except Gone:
            raise TemporarilyUnavailable(retry_after=1) from None
        return Reply(200, [_JSON], to_json(selectors.told(entitlements, period, rows)))

    async def events(self, request: Request) -> Reply:
        principal = request.principal
        principal.require(scope="usage:write")
        kind = request.headers.get("content-type", "")
        _json(request, *ingest.CONTENT_TYPES)
        key = requests.idempotency_key(request.headers.get("idempotency-key"))
        bodies, single = ingest.parse(request.body, kind, key)
        at = _times(principal)[1]
        history = history_of(await self._entitlements(principal, at))
        if all(isinstance(one, DomainError) or one.occurred_at is None or history.covers(one.occurred_at) for one in bodies):
            understood = ingest.understand(bodies, at, history)
        else:
            understood = await self._found(ingest.understand, bodies, at, history)
        good = [event for event in understood if not isinstance(event, DomainError)]
        counted = await self._reported(Report(_who(principal), good)) if good else []
        if request.service is not None and (totals := trail.corrections(good, counted)):
            await self._audited(trail.record_corrections, principal.organization_id, request.service.key_id, totals)
        verdicts = iter(counted)
        said = [(Verdict.REFUSED, event) if isinstance(event, DomainError) else next(verdicts) for event in understood]
        return Reply(200, [_JSON], results.told(said, single=single))

    async def _reported(self, report: Report) -> list[tuple[Verdict, DomainError | None]]:
        outcome = await self._committed(report)
        assert isinstance(outcome, decide.Counted)
        return outcome.verdicts

    async def _committed(self, job: Any) -> Any:
        try:
            outcome = await self._commits.submit(job)
        except Gone:
            raise TemporarilyUnavailable(retry_after=1) from None
        if isinstance(outcome, DomainError):
            raise outcome
        return outcome

    async def settle(self, request: Request) -> Reply:
        return await self._ended(request, lambda body: requests.read(requests.SettleBody, body).amount)

    async def release(self, request: Request) -> Reply:
        def nothing(body: bytes) -> None:
            requests.read(requests.EmptyBody, body)

        return await self._ended(request, nothing)

    async def _ended(self, request: Request, read: Callable[[bytes], int | None]) -> Reply:
        request.principal.require(scope="usage:write")
        requests.idempotency_key(request.headers.get("idempotency-key"))
        _json(request)
        assert request.place is not None
        amount = read(request.body)
        job = await self._found(holds.settlement, _who(request.principal), request.place, amount)
        ended = await self._committed(job)
        if request.service is not None and trail.lowers(ended):
            await self._audited(trail.record_end, request.principal.organization_id, request.service.key_id, ended)
        return Reply(200, [_JSON], to_json(ended))

    async def _audited(self, write: Callable[..., None], *values: Any) -> None:
        """Written after the commit that it tells of: if Postgres goes away between the two, the log keeps it."""
        try:
            await self._in_thread(write, *values)
        except store.Unreachable:
            log.error("an audit event could not be written: %s %s", write.__name__, values)


def _who(principal: Principal) -> Who:
    return Who.of(principal.organization_id, principal.key_id, principal.user_id)


def _times(principal: Principal) -> tuple[datetime, datetime]:
    """Everybody's, and the organization's."""
    real = datetime.now(UTC)
    return real, real if principal.clock_offset == _NO_TIME else real + principal.clock_offset


def _json(request: Request, *types: str) -> None:
    known = types or (ingest.JSON,)
    kind = request.headers.get("content-type") or ingest.JSON
    if kind not in known and kind.partition(";")[0].strip().lower() not in known:
        raise UnsupportedMediaType(f"Send {' or '.join(known)}.")


def read_entitlements(principal: Principal) -> Entitlements:
    """Blocks. What it takes of the organization is in the principal; whether that is closed is read."""
    organization = Organization(
        pk=principal.organization_id, created_at=principal.organization_created_at, clock_offset=principal.clock_offset
    )
    return EntitlementsManager(organization).entitlements()


def _members(organization_id: UUID) -> int:
    return team_members_count(Organization(pk=organization_id))
