"""Which requests share a transaction."""

import asyncio
from types import SimpleNamespace

import psycopg
import pytest
from django.db import connection, connections
from msgspec.structs import replace

from contextmcp.gate import driver, group_commit
from contextmcp.gate.group_commit import BatchQueue
from contextmcp.gate.pg_pipeline import PgPipeline
from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from usage.authorize.requests import Request
from usage.decision.results import HoldSettled
from usage.operations import holds
from usage.operations.caller import UsageCaller
from usage.types import Item

FOREVER = 1_000


class Sizes(BatchQueue):
    """Records the size of each batch. The outcome is the job itself."""

    def __init__(self):
        super().__init__(lambda: SimpleNamespace(broken=False, abort=lambda: None))
        self.sizes = []

    async def execute(self, pipe, jobs):
        self.sizes.append(len(jobs))
        await asyncio.sleep(0.002)
        return jobs


@pytest.fixture
def gathering(monkeypatch):
    def lasts(seconds):
        monkeypatch.setattr(group_commit, "LINGER_SECONDS", seconds)

    return lasts


async def ask_on(batches, name, times):
    """A client that repeats its call as soon as it has a response."""
    for number in range(times):
        assert await batches.submit((name, number)) == (name, number)


def test_repeated_callers_share_batches(gathering):
    gathering(FOREVER)

    async def main():
        batches = Sizes()
        await asyncio.gather(*(ask_on(batches, name, 10) for name in range(8)))
        assert batches.sizes == [8] * 10

    asyncio.run(main())


def test_two_alternating_groups_merge(gathering):
    gathering(FOREVER)

    async def main():
        batches = Sizes()
        early = [asyncio.ensure_future(ask_on(batches, name, 10)) for name in range(4)]
        while not batches.sizes:
            await asyncio.sleep(0)
        late = [asyncio.ensure_future(ask_on(batches, name, 9)) for name in range(4, 8)]
        await asyncio.gather(*early, *late)
        assert batches.sizes == [4] + [8] * 9

    asyncio.run(main())


def test_a_single_caller_never_waits(gathering):
    gathering(FOREVER)

    async def main():
        batches = Sizes()
        await ask_on(batches, "alone", 5)
        assert batches.sizes == [1] * 5

    asyncio.run(main())


def test_disconnected_clients_are_not_awaited(gathering):
    gathering(0.01)

    async def main():
        batches = Sizes()
        await asyncio.gather(*(ask_on(batches, name, 1 if name else 5) for name in range(8)))
        assert batches.sizes == [8, 1, 1, 1, 1]

    asyncio.run(main())


def new_caller():
    organization = OrganizationFactory(owner=UserFactory())
    return UsageCaller.of_caller(Person(organization.memberships.get()).caller)


@pytest.mark.django_db(transaction=True)
def test_a_reservation_does_not_wait_for_settlements(monkeypatch):
    settled, other = new_caller(), new_caller()
    request = Request([Item("sessions")], hold_seconds=900)
    pipes = []

    def connect(address, statements, settings):
        # Without the settings, whose time limit for locks would end the settlement on a slow machine.
        pipes.append(PgPipeline(address, statements))
        return pipes[-1]

    monkeypatch.setattr(driver, "PgPipeline", connect)
    monkeypatch.setattr(driver, "DATABASE_THREADS", 1)

    async def main():
        queues = driver.AsyncDriver()
        try:
            release = (await queues.run(holds.hold(settled, request))).release
            with psycopg.connect(**connection.get_connection_params()) as holder:
                holder.execute("SELECT 1 FROM usage_counters WHERE organization_id = %s FOR UPDATE", [settled.organization_id])
                settlement = queues.submit(replace(release, amount=1))
                assert (await queues.run(holds.hold(other, request))).release is not None
                assert not settlement.done()
            assert isinstance(await settlement, HoldSettled)
        finally:
            for pipe in pipes:
                pipe.close()
            queues._threads.submit(connections.close_all).result()

    asyncio.run(main())
