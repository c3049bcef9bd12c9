"""Maintenance of the job queue itself."""

from procrastinate import JobContext, exceptions
from procrastinate.contrib.django import app
from procrastinate.jobs import Status

# Four missed heartbeats. A retry while the worker is only slow does no harm, because every job can run twice.
STALLED_AFTER_SECONDS = 8


@app.periodic(cron="* * * * * */3")
@app.task(name="contextmcp.retry_stalled_jobs", queue="maintenance", queueing_lock="contextmcp.retry_stalled_jobs", pass_context=True)
async def retry_stalled_jobs(context: JobContext, timestamp: int) -> None:
    """Retry the jobs of workers that were killed. procrastinate leaves such jobs in the status "doing"."""
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_AFTER_SECONDS):
        if job.id == context.job.id:
            continue
        try:
            await manager.retry_job(job)
        except exceptions.ConnectorException:
            # The next run of a periodic task is already queued and holds the queueing lock, so this run is not needed.
            await manager.finish_job(job, status=Status.FAILED, delete_job=True)
