"""Usage by MCP tool: what a settled hold names is reported, and the rest of the usage beside it."""

from datetime import timedelta
from urllib.parse import urlencode

import pytest

from contextmcp.common.clock import now
from tests.support.api import problem
from usage import selectors
from usage.history_query import floor
from usage.models import UsageEvent, UsageToolSummary
from usage.store.rebuild import count_mismatched_summaries, rebuild_summaries

AUTHORIZE = "/api/usage/authorize"
HISTORY = "/api/usage/history"


def charge(api, owner, amount, tool):
    held = api.post(AUTHORIZE, {"feature": "sessions", "amount": amount, "hold": True}, by=owner).json()["hold"]
    response = api.post(f"/api/usage/holds/{held['id']}/settle", {"amount": amount, "tool": tool}, by=owner)
    assert response.status_code == 200, response.content


@pytest.fixture
def used(api, owner):
    """Five calls: four of two tools, and one that no tool made."""
    for amount, tool in ((1, "search"), (2, "search"), (4, "search"), (3, "convert")):
        charge(api, owner, amount, tool)
    assert api.post(AUTHORIZE, {"feature": "sessions", "amount": 5}, by=owner).status_code == 200


def by_tool(rows):
    """Return amount and events of each tool. The calls may fall into two intervals."""
    totals = {}
    for row in rows:
        amount, events = totals.get(row["tool"], (0, 0))
        totals[row["tool"]] = (amount + row["amount"], events + row["events"])
    return totals


@pytest.mark.parametrize("interval", ["hour", "day", "month"])
def test_rows_of_the_tools_and_of_the_rest_add_up(api, owner, used, interval):
    answer = api.get(f"{HISTORY}?interval={interval}&groupBy=tool", by=owner).json()
    assert answer["groupBy"] == "tool"
    assert by_tool(answer["data"]) == {None: (5, 1), "convert": (3, 1), "search": (7, 3)}


def test_a_partial_hour_is_read_from_the_events(api, owner, used):
    until = UsageEvent.objects.latest("occurred_at").occurred_at + timedelta(milliseconds=1)
    span = urlencode({"since": (until - timedelta(minutes=59)).isoformat(), "until": until.isoformat()})
    rows = api.get(f"{HISTORY}?{span}&interval=month&groupBy=tool", by=owner).json()["data"]
    assert by_tool(rows) == {None: (5, 1), "convert": (3, 1), "search": (7, 3)}


def test_pages_by_tool_follow_each_other(api, owner, used):
    tools, cursor = [], ""
    while cursor is not None:
        page = api.get(f"{HISTORY}?interval=month&groupBy=tool&limit=1{f'&cursor={cursor}' if cursor else ''}", by=owner).json()
        tools += [row["tool"] for row in page["data"]]
        cursor = page["nextCursor"]
    assert set(tools) == {None, "convert", "search"}


def test_the_tools_with_the_most_calls_come_first(used, acme):
    since = floor(now() - timedelta(days=1), "day")
    totals = [(total.tool, total.calls, total.amount) for total in selectors.tool_totals(since, acme)]
    assert totals == [("search", 3, 7), ("convert", 1, 3)]
    assert [total.tool for total in selectors.tool_totals(since, limit=1)] == ["search"]


def test_tool_summaries_are_rebuilt_from_the_events(used, acme):
    assert count_mismatched_summaries() == 0
    UsageToolSummary.objects.filter(tool="search").update(amount=100)
    assert count_mismatched_summaries(str(acme.pk)) > 0
    rebuild_summaries(str(acme.pk))
    assert count_mismatched_summaries() == 0
    assert {total.amount for total in selectors.tool_totals(floor(now() - timedelta(days=1), "day"), acme)} == {7, 3}


@pytest.mark.parametrize("tool", ["two words", "\u00e9", "x" * 129, "\x00", 7])
def test_other_names_are_refused(api, owner, tool):
    held = api.post(AUTHORIZE, {"feature": "sessions", "hold": True}, by=owner).json()["hold"]
    assert problem(api.post(f"/api/usage/holds/{held['id']}/settle", {"amount": 1, "tool": tool}, by=owner)) == (422, "validation_error")
