"""Worker middleware that adds IDs to the log lines of a job."""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from procrastinate import JobContext


async def log_context(call_next: Callable[[], Awaitable[Any]], context: JobContext, worker: Any) -> Any:
    """Run a job and add its ID, its task and the IDs in its arguments to each of its log lines (procrastinate worker middleware).

    Only IDs are logged (`organization_id`, `customer_id`, `subject`); other arguments may be long or contain personal data.
    """
    job = context.job
    ids = {name.removesuffix("_id"): str(value) for name, value in job.task_kwargs.items() if name == "subject" or name.endswith("_id")}
    with structlog.contextvars.bound_contextvars(**ids, job=job.id, task=job.task_name):
        return await call_next()
