"""Background tasks of the pages: build and delete exports."""

from uuid import UUID

from procrastinate.contrib.django import app

from .exports import service


@app.task(name=service.TASK, queue="maintenance", pass_context=False)
def build_export(export_id: str) -> None:
    """Build the file of an export. If the worker is killed, another one starts again."""
    service.build_export(UUID(export_id))


@app.periodic(cron="47 * * * *")
@app.task(name="web.purge_exports", queue="maintenance", queueing_lock="web.purge_exports", pass_context=False)
def purge_exports(timestamp: int) -> None:
    """Delete the files of expired exports."""
    service.purge()
