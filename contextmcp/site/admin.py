"""Background jobs for staff: to read, and to retry or cancel with a permission, a reason and a record of it."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.jobs import Status
from unfold.admin import ModelAdmin

from accounts import audit
from accounts.models import User
from contextmcp.common.admin_base import ActionPermissions, ReadOnly, confirmed_action
from contextmcp.common.clock import now
from contextmcp.common.errors import Conflict

# The package's own pages retry, cancel and abort for whoever may look, and leave no record.
for _model in list(admin.site._registry):
    if _model._meta.app_label == "procrastinate":
        admin.site.unregister(_model)


@admin.register(ProcrastinateJob)
class JobAdmin(ReadOnly, ActionPermissions, ModelAdmin):  # type: ignore[misc]
    list_display = ["id", "task_name", "queue_name", "status", "attempts", "scheduled_at"]
    list_filter = ["status", "queue_name", "task_name"]
    search_fields = ["task_name", "lock"]
    ordering = ["-id"]
    show_full_result_count = False
    fields = ["id", "task_name", "queue_name", "status", "attempts", "priority", "lock", "queueing_lock", "args", "scheduled_at"]
    actions = ["retry", "cancel"]

    @confirmed_action(
        "Retry the job",
        permission="accounts.operate_jobs",
        effect="These jobs are run again, as soon as a worker is free.",
        done="jobs queued",
    )
    def retry(self, request: HttpRequest, job: ProcrastinateJob, reason: str) -> None:
        if job.status not in {Status.FAILED.value, Status.CANCELLED.value, Status.ABORTED.value}:
            raise Conflict(f"This job is {job.status}: only one that failed or was cancelled is run again.")
        app.job_manager.retry_job_by_id(job.id, now(), priority=None, queue=None, lock=None)
        _record("job.retried", request, job, "todo", reason)

    @confirmed_action(
        "Cancel the job",
        permission="accounts.operate_jobs",
        effect="These jobs are not run. What they were to do, such as ending a subscription at Stripe, waits until it is queued anew.",
        done="jobs cancelled",
    )
    def cancel(self, request: HttpRequest, job: ProcrastinateJob, reason: str) -> None:
        if not app.job_manager.cancel_job_by_id(job.id):
            raise Conflict(f"This job is {job.status}: only one that waits can be cancelled.")
        _record("job.cancelled", request, job, "cancelled", reason)


def _record(action: str, request: HttpRequest, job: Any, status: str, reason: str) -> None:
    assert isinstance(request.user, User)
    audit.record(
        action,
        organization=None,
        actor=request.user,
        target=f"{job.task_name} {job.id}",
        before={"status": job.status},
        after={"status": status},
        reason=reason,
    )
