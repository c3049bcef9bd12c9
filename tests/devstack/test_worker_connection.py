"""The worker's connector survives the loss of a connection during a query, and loses no job."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import psycopg
import pytest
from procrastinate.contrib.django import app
from procrastinate.contrib.django.utils import connector_params

from contextmcp import procrastinate_resilience
from contextmcp.procrastinate_resilience import ResilientListener
from tests.support.workers import Worker, environment, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.chaos]


def terminate_waiting(control: psycopg.Connection) -> int:
    """Terminate the backends that wait for a lock in this database."""
    return control.execute(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ).fetchone()[0]


def test_a_worker_survives_a_terminated_query(transactional_db, tmp_path: Path) -> None:
    worker = Worker(log=tmp_path / "worker.log")
    try:
        with (
            psycopg.connect(environment()["DATABASE_URL"]) as holder,
            psycopg.connect(environment()["DATABASE_URL"], autocommit=True) as control,
        ):
            until(lambda: control.execute("SELECT count(*) FROM procrastinate_workers").fetchone()[0], "the worker registers", 90)
            holder.execute("LOCK TABLE procrastinate_jobs")
            until(lambda: terminate_waiting(control), "the worker waits", 60)
            time.sleep(1)
            terminate_waiting(control)
            holder.rollback()
            time.sleep(3)
            assert worker.process.poll() is None, worker.log.read_text()
            observed = control.execute("SELECT max(last_heartbeat) FROM procrastinate_workers").fetchone()[0]
            until(
                lambda: control.execute("SELECT max(last_heartbeat) FROM procrastinate_workers").fetchone()[0] > observed,
                "its heart beats on",
                60,
            )
        assert "lost its connection" in worker.log.read_text()
    finally:
        worker.stop()


def test_job_whose_fetch_response_was_lost_is_fetched_again(transactional_db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procrastinate_resilience, "RETRY_SECONDS", 0.05)
    job = app.configure_task("common.send_emails", allow_unknown=True).defer(timestamp=1)

    async def main() -> None:
        listener = ResilientListener.with_retries(kwargs=connector_params("default"))
        with app.replace_connector(listener) as worker_app:
            await listener.open_async()
            manager = worker_app.job_manager
            worker = await manager.register_worker()
            execute = super(ResilientListener, listener).execute_query_one_async
            lost = []

            async def lose_one_answer(query, **arguments):
                row = await execute(query, **arguments)
                if not lost:
                    lost.append(row["id"])
                    raise procrastinate_resilience.ConnectorException from psycopg.OperationalError("the connection was lost")
                return row

            row = await listener._repeat(
                lose_one_answer, procrastinate_resilience.queries["fetch_job"], {"queues": None, "worker_id": worker}
            )
            assert lost == [job] and row["id"] == job
            await listener.close_async()

    asyncio.run(main())


def test_an_invalid_query_is_not_repeated(transactional_db) -> None:
    async def main() -> None:
        listener = ResilientListener.with_retries(kwargs=connector_params("default"))
        await listener.open_async()
        with pytest.raises(procrastinate_resilience.ConnectorException):
            await listener.execute_query_async("SELECT nonsense")
        await listener.close_async()

    asyncio.run(main())
