"""Access tokens at the vendor's own server: a service key shows them as the customer's credential, to the web server and to the gate."""

import asyncio
import re

import contextmcp_sdk
import httpx
import pytest
from contextmcp_sdk import AsyncClient, Client, Retries
from contextmcp_sdk.fastmcp import ContextMCPAuth, ContextMCPOAuth
from contextmcp_sdk.mcp import ContextMCPTokenVerifier, behind_plans
from contextmcp_sdk.pricing import Pricing
from fastmcp import FastMCP
from mcp.server.mcpserver import MCPServer

from accounts.oauth import grants
from tests.factories.accounts import Person
from tests.factories.oauth import connect_app
from tests.sdk.conftest import sessions_used
from tests.support.gates import gate_process
from tests.support.workers import until
from usage.models import UsageEvent

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def gate_url(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), gate_process() as gate:
        yield f"http://127.0.0.1:{gate.port}"


@pytest.fixture
def app(organization):
    return connect_app(organization.memberships.get())


@pytest.mark.parametrize("port", ["web", "gate"])
def test_a_token_spends_for_its_organization_and_dies_with_its_grant(port, url, gate_url, vendor_key, organization, key, app):
    grant, token = app
    with Client(vendor_key, url=url, gate_url=gate_url if port == "gate" else url, retries=Retries(attempts=1)) as vendor:
        customer = vendor.for_customer(credential=token)
        assert customer.entitlements().organization_id == str(organization.pk)
        with customer.hold("sessions", 3) as hold:
            customer.settle_hold(hold, 2)
        customer.authorize("sessions")
        assert customer.check("sessions").remaining == 47
        assert sessions_used(organization) == 3
        # It is recorded for the app, as at the gateway.
        assert set(UsageEvent.objects.filter(organization=organization).values_list("key_id", flat=True)) == {grant.pk}
        other = vendor.for_customer(credential=connect_app(organization.memberships.get(), server="other")[1])
        reading = vendor.for_customer(credential=connect_app(organization.memberships.get(), scopes=("openid",))[1])
        with pytest.raises(contextmcp_sdk.TokenForOtherResource):
            other.authorize("sessions")
        with pytest.raises((contextmcp_sdk.InsufficientScope, contextmcp_sdk.PermissionDenied)):
            reading.authorize("sessions")
        with pytest.raises(contextmcp_sdk.TokenNotFound):
            vendor.for_customer(credential=token[:-1] + ("a" if token[-1] != "a" else "b")).authorize("sessions")
        # Without a service key a token is no credential of the REST API.
        assert httpx.get(f"{url}/api/entitlements", headers={"Authorization": f"Bearer {token}"}).status_code == 401
        grants.disconnect(Person(organization.memberships.get()).caller, grant.pk)

        def is_refused():
            try:
                customer.authorize("sessions")
            except (contextmcp_sdk.TokenNotFound, contextmcp_sdk.KeyRevoked):
                # The transaction that counts raises the second one until the process receives the invalidation.
                return True
            return False

        until(is_refused, "the token is refused")


def test_the_adapters_accept_tokens(url, vendor_key, organization, app):
    _, token = app

    async def run():
        async with AsyncClient(vendor_key, url=url) as client:
            for verifier in (ContextMCPTokenVerifier(client), ContextMCPAuth(client)):
                access = await verifier.verify_token(token)
                assert (access.subject, access.claims["plan"]) == (str(organization.pk), "free")
                assert await verifier.verify_token("cmcp_at_test_nonsense") is None

    asyncio.run(run())
    server = FastMCP("notes", auth=ContextMCPOAuth(AsyncClient(vendor_key, url=url), base_url="http://127.0.0.1:9000"))
    official = MCPServer("notes", **behind_plans(AsyncClient(vendor_key, url=url), Pricing({}), resource_url="http://127.0.0.1:9000/mcp"))
    for app in (server.http_app(), official.streamable_http_app()):

        async def discover(app=app):
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:9000") as http:
                refused = await http.post("/mcp", json={})
                where = re.search(r'resource_metadata="([^"]+)"', refused.headers["WWW-Authenticate"])[1]
                return refused.status_code, (await http.get(where)).json()

        status, metadata = asyncio.run(discover())
        assert (status, metadata["resource"]) == (401, "http://127.0.0.1:9000/mcp")
        assert [each.rstrip("/") for each in metadata["authorization_servers"]] == [url]
