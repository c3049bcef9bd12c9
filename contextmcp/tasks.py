"""What the queue needs for itself."""

from procrastinate import JobContext, exceptions
from procrastinate.contrib.django import app
from procrastinate.jobs import Status

# Four missed beats of the heart. A worker that is only slow loses nothing by it: every job stands being run twice.
STALLED_AFTER_SECONDS = 8


@app.periodic(cron="* * * * * */3")
@app.task(name="contextmcp.tasks.retry_stalled", queue="keeper", queueing_lock="retry_stalled", pass_context=True)
async def retry_stalled(context: JobContext, timestamp: int) -> None:
    """Take up again what killed workers left behind: procrastinate leaves it "doing" for ever."""
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_AFTER_SECONDS):
        if job.id == context.job.id:
            continue
        try:
            await manager.retry_job(job)
        except exceptions.ConnectorException:
            # A periodic task whose next run is queued already; that one will do.
            await manager.finish_job(job, status=Status.FAILED, delete_job=True)
