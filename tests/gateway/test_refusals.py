"""Refused calls through a real gateway process are recorded with their tool."""

import pytest

from accounts.models import ApiKey
from tests.factories.accounts import key_of
from tests.factories.usage import UsageCounterFactory
from tests.gateway.conftest import McpClient
from tests.support.refusals import recorded
from tests.support.workers import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]


def test_a_refused_call_is_recorded_with_its_tool_and_key(client, organization):
    UsageCounterFactory(organization=organization, used=50)
    for _ in range(3):
        assert client.call("succeed")["result"]["structuredContent"]["code"] == "quota_exceeded"
    client.call("exclusive")
    client.call("by_argument", {"pages": 11})
    key = ApiKey.objects.get(organization=organization)
    expected = {
        ("quota_exceeded", "sessions", "succeed", key.pk): 3,
        ("feature_not_available", "sso_integration", "exclusive", key.pk): 1,
        ("validation_error", "", "by_argument", key.pk): 1,
    }
    until(lambda: recorded(organization, "code", "feature", "tool", "key_id") == expected, "the refusals are recorded", 10)


def test_tools_that_the_pricing_file_omits_share_one_row(client, organization):
    for number in range(60):
        assert client.call(f"invented_{number}")["result"]["structuredContent"]["code"] == "tool_not_available"
    assert client.call("free_tool")["result"]
    until(lambda: recorded(organization, "code", "tool") == {("tool_not_available", ""): 60}, "the refusals are recorded", 10)


def test_a_missing_scope_is_recorded_with_the_tool(client, organization):
    reader = McpClient(client.url, key_of(organization.memberships.get(), ["usage:read"]))
    assert reader.post("tools/call", {"name": "succeed"}).status_code == 403
    until(lambda: recorded(organization, "code", "tool") == {("insufficient_scope", "succeed"): 1}, "the refusal is recorded", 10)


def test_the_name_of_a_pattern_stands_for_its_tools(start_gateway, upstream, organization, key):
    prices = f'[servers.one]\nurl = "{upstream.url}"\n[servers.one.tools]\n"search_*" = {{ feature = "sso_integration" }}\n'
    prices += f'[servers.two]\nurl = "{upstream.url}"\ndefault = "free"\n'
    with start_gateway(prices) as gateway:
        client = McpClient(f"http://127.0.0.1:{gateway.port}/mcp/one", key)
        client.call("search_notes")
        client.call("search_files")
    assert recorded(organization, "code", "tool") == {("feature_not_available", "one/search_*"): 2}
