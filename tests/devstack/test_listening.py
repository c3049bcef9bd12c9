"""The worker's listener while Postgres stops and starts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest
from procrastinate.contrib.django import app

from contextmcp import procrastinate_resilience
from contextmcp.devstack import services
from contextmcp.procrastinate_resilience import ResilientListener

pytestmark = pytest.mark.chaos


def test_workers_use_the_resilient_connector() -> None:
    assert type(app.connector.get_worker_connector()) is ResilientListener


def test_a_worker_listens_again_after_an_outage(home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(procrastinate_resilience, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(procrastinate_resilience, "MAX_OUTAGE_SECONDS", 0.5)
    with services.running(home) as result:
        postgres = result.postgres
        assert postgres
        received: list[str] = []

        async def on_notification(*, channel: str, payload: str) -> None:
            received.append(payload)

        async def until_received(word: str) -> None:
            async with asyncio.timeout(30):
                while word not in received:
                    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
                        connection.execute("SELECT pg_notify('news', %s)", [word])
                    await asyncio.sleep(0.1)

        async def main() -> None:
            listener = ResilientListener.with_retries(conninfo=postgres.url("postgres"))
            await listener.open_async()
            listens = asyncio.create_task(listener.listen_notify(on_notification, ["news"]))
            await until_received("before")
            postgres.kill()
            async with asyncio.timeout(30):
                while "cannot be listened to" not in caplog.text:
                    await asyncio.sleep(0.05)
            asks = asyncio.create_task(listener.execute_query_one_async("SELECT 1 AS one"))
            async with asyncio.timeout(30):
                while caplog.text.count("waits for a connection") < 2:
                    await asyncio.sleep(0.05)
            postgres.start()
            async with asyncio.timeout(30):
                assert await asks == {"one": 1}
            await until_received("after")
            assert not listens.done()
            listens.cancel()
            await listener.close_async()

        asyncio.run(main())
