"""Handlers of the routes: parse a request, run one operation, and encode its result.

A handler is an operation itself, so Django's views and the gate run the same one. `Route.start` checks the caller and the request against
the route table before it returns the handler.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from msgspec import Struct

from accounts.models import Organization
from contextmcp.common.api import refuse_parameters
from contextmcp.common.http_rules import check_idempotency_key
from usage import selectors
from usage.authorize import requests
from usage.decision.results import to_json
from usage.history_query import HISTORY_PARAMETERS, HistoryQuery, parse_history_query
from usage.ingest import event_parsing
from usage.ingest.result import render_results
from usage.operations import authorization, events, gauges, holds, reports
from usage.operations.caller import UsageCaller, call_database
from usage.operations.effects import CallDatabase, Operation
from usage.refusals.recording import record

from .responses import Reply, authorized_reply, decision_reply


class UsageRequest(Struct):
    """An authenticated request. `headers` is accessed by lower-case names; `parameter` is the variable part of the path."""

    caller: UsageCaller
    headers: Mapping[str, str]
    body: bytes
    query: str = ""
    parameter: Any = None


Handler = Callable[[UsageRequest], Operation[Reply]]


def authorize(request: UsageRequest) -> Operation[Reply]:
    """Record usage if the plan, the rate limits and the quotas allow it."""
    parsed, key = requests.authorize(request.body), _idempotency_key(request)
    authorized = yield from authorization.authorize(request.caller, parsed, key)
    return authorized_reply(authorized, request.caller.now())


def check(request: UsageRequest) -> Operation[Reply]:
    """Return what `authorize` would decide."""
    item = requests.check(request.body)
    decision = yield from authorization.check(request.caller, item)
    return decision_reply(item.feature, item.amount, decision)


def record_events(request: UsageRequest) -> Operation[Reply]:
    """Record usage that has already happened."""
    content_type = request.headers.get("content-type", "")
    bodies, single = event_parsing.parse(request.body, content_type, _idempotency_key(request))
    results = yield from events.record_events(request.caller, bodies)
    if not single:
        # The refusal of a single event is raised by `render_results`, and the server records it as the refusal of the request.
        for result in results:
            if result.error is not None:
                record(request.caller.subject, result.error)
    return Reply(render_results(results, single=single))


def settle_hold(request: UsageRequest) -> Operation[Reply]:
    """Settle a hold with the actual amount."""
    _idempotency_key(request)  # The key is only validated: a hold can be settled once, with or without a key.
    body = requests.read(requests.SettleBody, request.body)
    return Reply(to_json((yield from holds.end_hold(request.caller, _hold_id(request), body.amount, body.tool))))


def release_hold(request: UsageRequest) -> Operation[Reply]:
    """Release a hold without recording usage."""
    _idempotency_key(request)
    requests.read(requests.EmptyBody, request.body)
    return Reply(to_json((yield from holds.end_hold(request.caller, _hold_id(request), None))))


def set_gauge(request: UsageRequest) -> Operation[Reply]:
    """Set the units of a gauge that are in use."""
    value = requests.read(requests.GaugeBody, request.body).value
    return Reply(to_json((yield from gauges.set_gauge(request.caller, request.parameter, value))))


def decrease_gauge(request: UsageRequest) -> Operation[Reply]:
    """Release units of a gauge."""
    amount, key = requests.read(requests.AmountBody, request.body).amount, _idempotency_key(request)
    authorized = yield from gauges.decrease_gauge(request.caller, request.parameter, amount, key)
    return authorized_reply(authorized, request.caller.now())


def current_usage(request: UsageRequest) -> Operation[Reply]:
    """Return the current usage and limit of each quota, gauge and rate limit."""
    _query_parameters(request)
    return Reply(to_json((yield from reports.current_usage(request.caller))))


def usage_history(request: UsageRequest) -> Operation[Reply]:
    """Return one page of the usage history."""
    query = history_query(request)
    page = yield from call_database(CallDatabase(read_history_page, (request.caller.organization_id, query)))
    return Reply(to_json(page))


def history_query(request: UsageRequest) -> HistoryQuery:
    """Return the query of a request for the usage history. Raises a refusal if a parameter is unknown or not valid."""
    return parse_history_query(_query_parameters(request, *HISTORY_PARAMETERS), request.caller.now())


def read_history_page(organization_id: UUID, query: HistoryQuery) -> dict[str, Any]:
    """Return the JSON of one page. Blocks on the database."""
    rows = list(selectors.history(Organization(pk=organization_id), query, limit=query.limit + 1))
    has_more = len(rows) > query.limit
    rows = rows[: query.limit]
    return {
        "interval": query.interval,
        "groupBy": query.group,
        "since": query.since,
        "until": query.until,
        "data": rows,
        "nextCursor": query.cursor_after(rows[-1]) if has_more else None,
    }


def _idempotency_key(request: UsageRequest) -> str | None:
    return check_idempotency_key(request.headers.get("idempotency-key"))


def _hold_id(request: UsageRequest) -> UUID:
    assert isinstance(request.parameter, UUID)
    return request.parameter


def _query_parameters(request: UsageRequest, *known: str) -> dict[str, str]:
    """Return the query parameters. Raises `UnknownParameter` for names not in `known`, except `organizationId` with a service key."""
    parameters = dict(parse_qsl(request.query, keep_blank_values=True))
    refuse_parameters(parameters, *known, *(() if request.caller.service is None else ("organizationId",)))
    return parameters
