"""Periodic jobs of the back office: the work queue."""

from procrastinate.contrib.django import app

from contextmcp.common import incident_totals

from .work_queue import collect


@app.periodic(cron="* * * * *")
@app.task(name="backoffice.collect_work", queue="maintenance", queueing_lock="backoffice.collect_work", lock="backoffice.collect_work")
def collect_work(timestamp: int) -> None:
    """Find the problems that need a person."""
    collect.collect(timestamp // 60)


@app.periodic(cron="47 3 * * *")
@app.task(name="backoffice.purge", queue="maintenance", queueing_lock="backoffice.purge")
def purge(timestamp: int) -> None:
    """Delete old work items and counts of incidents."""
    collect.purge()
    incident_totals.purge()
