"""Which requests share a transaction."""

import asyncio
from types import SimpleNamespace

import pytest

from contextmcp.gate import group_commit
from contextmcp.gate.group_commit import BatchQueue

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
