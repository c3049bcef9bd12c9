"""Calls with every outcome, at once, through two gateways, one of which is killed. `make soak ARGS=gateway` does the same in full size."""

import pytest

from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.factories.usage import subscribe
from tests.gateway.conftest import McpClient
from tests.gateway.outcomes import run_at_once, run_mixed
from tests.gateway.test_charging import used
from tests.support.workers import until
from usage.models import UsageCounter, UsageEvent, UsageHold
from usage.store.holds import expire_due

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]


def quick(prices):
    """Return the prices with reservations that expire after 2 s, and a server that is waited for 1 s."""
    short = prices.replace('default = "deny"', 'default = "deny"\ntimeout_seconds = 1')
    return short.replace('{ feature = "sessions" }', '{ feature = "sessions", hold_seconds = 2 }')


def upstream_calls(url, key):
    return McpClient(url, key).upstream_state()["calls"].get("succeed", 0)


def charged_after_expiry(organization):
    def none_is_held():
        # The worker's job.
        expire_due()
        return not UsageHold.objects.filter(organization=organization, state="held").exists()

    until(none_is_held, "no reservation is open", 60)
    charged = used(organization)
    assert charged == sum(UsageEvent.objects.filter(organization=organization).values_list("amount", flat=True))
    return charged


def customer():
    organization = OrganizationFactory(owner=UserFactory())
    subscribe(organization, "pro")
    return organization, Person(organization.memberships.get()).key


def test_gateways_charge_exactly_what_succeeds(start_gateway, transactional_db, prices, upstream):
    with start_gateway(quick(prices)) as first, start_gateway(quick(prices)) as second:
        urls = [f"http://127.0.0.1:{process.port}/mcp" for process in (first, second)]
        # Every outcome, and servers that die.
        organization, key = customer()
        mixed = run_mixed(urls, key, 150, upstream, at_once=20)
        charged = charged_after_expiry(organization)
        assert (mixed.wrong, mixed.unknown, mixed.refused, mixed.restarts >= 1) == ([], 0, 0, True)
        assert mixed.successes == charged
        # More calls than units are left.
        UsageCounter.objects.filter(organization=organization).update(used=970)
        exact = run_at_once(urls, key, 120)
        assert (exact.successes, exact.refused, exact.unknown, exact.wrong) == (30, 90, 0, [])
        assert used(organization) == 1_000
        # A gateway is killed.
        organization, key = customer()
        before = upstream_calls(urls[1], key)
        killed = run_at_once(urls, key, 150, interrupt=first.kill)
        charged = charged_after_expiry(organization)
        assert killed.unknown > 0
        assert killed.by_url[urls[1]] <= charged <= upstream_calls(urls[1], key) - before
