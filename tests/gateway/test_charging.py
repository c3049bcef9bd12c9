"""Calls through a real gateway process are charged once, and only if they succeed."""

import time

import httpx
import pytest
from django.db.models import Sum

from contextmcp.gateway.charge import _tool_label
from contextmcp.gateway.messages import Message, MessageKind
from contextmcp.gateway.pricing import Server, ServerFile
from tests.factories.usage import UsageCounterFactory
from tests.support.workers import until
from usage.models import UsageCounter, UsageHold, UsageToolSummary

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]


def used(organization, feature="sessions"):
    """Return the units used once no reservation is open."""
    until(lambda: not UsageHold.objects.filter(organization=organization, state="held").exists(), "every reservation has ended", 30)
    return sum(UsageCounter.objects.filter(organization=organization, feature=feature).values_list("used", flat=True))


def test_a_call_that_succeeds_is_charged_once(client, organization):
    answer = client.call("succeed")
    assert answer["result"]["content"][0]["text"] == "done"
    assert used(organization) == 1


def test_free_requests_cost_nothing(client, organization):
    assert "result" in client.call("free_tool")
    for method in ("ping", "server/discover", "tools/list", "prompts/list"):
        assert client.post(method).status_code == 200
    assert (
        client.http.post(client.url, json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=client.headers()).status_code
        == 202
    )
    assert used(organization) == 0


FAILURES = (
    "fail", "fail_in_stream", "raise_error", "refuse_parameters", "answer_another", "send_garbage", "send_no_http", "fail_with_500",
    "close_mid_stream", "end_without_answer", "send_too_much", "send_too_much_in_stream", "require_input",
)  # fmt: skip


def test_calls_that_fail_are_not_charged(client, organization):
    for tool in FAILURES:
        answer = client.call(tool)
        assert "error" in answer or answer["result"].get("isError") or answer["result"]["resultType"] == "input_required", tool
        assert used(organization) == 0, tool


def test_a_server_that_dies_or_is_away_is_not_charged(client, organization, upstream):
    assert client.call("die")["error"]["code"] <= -32010
    assert client.call("succeed")["error"]["message"] == "The server cannot be reached."
    upstream.process.wait(10)
    upstream.start()
    assert "result" in client.call("succeed")
    assert used(organization) == 1


def test_a_declared_policy_charges_a_failure(client, organization):
    client.call("charged_on_failure")
    assert used(organization) == 1


def test_the_completed_round_is_charged_once(client, organization):
    assert client.call("require_input")["result"]["resultType"] == "input_required"
    assert client.call("require_input", inputResponses={})["result"]["resultType"] == "complete"
    assert used(organization) == 1


def test_amounts_from_an_argument_and_from_the_result(client, organization):
    client.call("by_argument", {"pages": 4})
    assert used(organization) == 4
    client.call("report_amount", {"units": 3})
    assert used(organization) == 7
    refusal = client.call("by_argument", {"pages": 11})["result"]
    assert (refusal["isError"], refusal["structuredContent"]["code"]) == (True, "validation_error")
    assert used(organization) == 7


def test_a_repetition_with_the_same_key_is_charged_once(client, organization):
    meta = {"com.contextmcp/idempotencyKey": "order-1"}
    client.call("fail", _meta=meta)
    for _ in range(3):
        assert "result" in client.call("succeed", _meta=meta)
        assert used(organization) == 1
    client.call("succeed", _meta={"com.contextmcp/idempotencyKey": "order-2"})
    assert used(organization) == 2


def test_one_key_does_not_make_other_calls_free(client, organization):
    meta = {"com.contextmcp/idempotencyKey": "order-1"}
    for number in range(3):
        assert "result" in client.call("succeed", {"query": number}, _meta=meta)
    assert used(organization) == 3


def test_a_client_that_goes_away_is_not_charged_and_the_server_is_told(client, organization):
    cancelled = client.upstream_state()["cancelled"]
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            client.url, json=client.message("tools/call", {"name": "hang"}), headers=client.headers("tools/call", "hang"), timeout=0.5
        )
    assert used(organization) == 0
    until(lambda: client.upstream_state()["cancelled"] == cancelled + 1, "the server received the cancellation", 10)


def test_progress_arrives_as_it_is_sent(client, organization):
    message = client.message("tools/call", {"name": "stream_progress"})
    arrivals = []
    with client.http.stream("POST", client.url, json=message, headers=client.headers("tools/call", "stream_progress")) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                arrivals.append(time.monotonic())
    # The server pauses between its events, so that a gateway that collected them would deliver all at the end.
    assert len(arrivals) == 3
    assert arrivals[2] - arrivals[0] > 0.3
    assert used(organization) == 1


def test_a_used_up_quota_is_a_result_that_a_model_can_read(client, organization):
    UsageCounterFactory(organization=organization, feature="sessions", used=50)
    calls = client.upstream_state()["calls"]
    answer = client.post("tools/call", {"name": "succeed"})
    assert answer.status_code == 200
    result = answer.json()["result"]
    assert result["isError"] is True
    assert result["resultType"] == "complete"
    facts = result["structuredContent"]
    assert (facts["code"], facts["feature"], facts["used"], facts["limit"], facts["remaining"]) == ("quota_exceeded", "sessions", 50, 50, 0)
    assert facts["upgradeUrl"] in result["content"][0]["text"]
    assert "ratelimit" in answer.headers
    assert client.upstream_state()["calls"] == calls


def test_a_call_that_the_quota_refuses_does_not_use_the_rate_limit(client, organization):
    UsageCounterFactory(organization=organization, feature="sessions", used=50)
    # The plan has a rate limit of 30 a minute.
    assert {client.call("limited")["result"]["structuredContent"]["code"] for _ in range(32)} == {"quota_exceeded"}


def test_denied_and_exclusive_tools_are_refused(client, organization):
    calls = client.upstream_state()["calls"]
    assert client.call("unpriced")["result"]["structuredContent"]["code"] == "tool_not_available"
    assert client.call("exclusive")["result"]["structuredContent"]["code"] == "feature_not_available"
    assert client.upstream_state()["calls"] == calls


def test_charged_calls_are_recorded_by_tool(client, organization):
    for _ in range(2):
        client.call("by_argument", {"pages": 3})
    client.call("fail")
    client.call("free_tool")
    assert used(organization) == 6
    rows = (
        UsageToolSummary.objects.filter(organization=organization, grain="d")
        .values("tool")
        .annotate(units=Sum("amount"), calls=Sum("events"))
    )
    assert list(rows) == [{"tool": "by_argument", "units": 6, "calls": 2}]


def test_a_name_from_the_client_becomes_one_that_can_be_stored():
    file = ServerFile("http://127.0.0.1:1/mcp")
    only, one_of_two = Server("notes", file, {}), Server("notes", file, {}, is_only=False)

    def label(server, name, method="tools/call"):
        return _tool_label(server, Message(MessageKind.REQUEST, 1, method, name))

    assert label(only, "search") == "search"
    assert label(one_of_two, "search") == "notes/search"
    assert label(only, "a\x00b\ud800 \u00e9") == "a?b???"
    assert len(label(only, "x" * 1000)) == 128
    assert label(only, "file:///a", "resources/read") == ""
