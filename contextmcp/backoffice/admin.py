"""Admin pages of background jobs and outgoing email. Retrying and canceling require a permission and a reason, and are audited.

The content of a message is not shown, because it may contain a link that signs a user in.
"""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.jobs import Status

from accounts import audit
from accounts.authentication import staff
from contextmcp.common.admin_base import ReadOnlyAdmin, confirmed_action
from contextmcp.common.admin_filters import choices_filter, indexed_values_filter
from contextmcp.common.clock import now
from contextmcp.common.models import OutgoingEmail

from .alerts import admin as alerts_admin  # noqa: F401 - registers its pages
from .errors import JobNotCancelable, JobNotRetryable
from .lists import admin as lists_admin  # noqa: F401 - registers its pages
from .resend_email import previews, resend
from .work_queue import admin as work_queue_admin  # noqa: F401 - registers its pages

# Procrastinate's own admin pages let every viewer retry, cancel and abort jobs, without an audit event.
for _model in list(admin.site._registry):
    if _model._meta.app_label == "procrastinate":
        admin.site.unregister(_model)


@admin.register(ProcrastinateJob)
class JobAdmin(ReadOnlyAdmin):
    list_display = ["id", "task_name", "queue_name", "status", "attempts", "scheduled_at"]
    list_filter = [
        choices_filter("status", lambda: [status.value for status in Status]),
        choices_filter("queue_name", lambda: sorted({task.queue for task in app.tasks.values()})),
        choices_filter("task_name", lambda: sorted(app.tasks)),
    ]
    search_fields = ["task_name", "lock"]
    fields = ["id", "task_name", "queue_name", "status", "attempts", "priority", "lock", "queueing_lock", "args", "scheduled_at"]
    actions = ["retry", "cancel"]

    @confirmed_action(
        "Retry the job",
        permission="accounts.operate_jobs",
        effect="These jobs will run again as soon as a worker is available.",
        done=("job queued", "jobs queued"),
    )
    def retry(self, request: HttpRequest, job: ProcrastinateJob, reason: str) -> None:
        if job.status not in {Status.FAILED.value, Status.CANCELLED.value, Status.ABORTED.value}:
            raise JobNotRetryable(f"This job is {job.status}. Only a failed or canceled job can be retried.")
        app.job_manager.retry_job_by_id(job.id, now(), priority=None, queue=None, lock=None)
        _record("job.retried", request, job, "todo", reason)

    @confirmed_action(
        "Cancel the job",
        permission="accounts.operate_jobs",
        effect="These jobs will not run. Their work, such as canceling a subscription, will not be done until a new job is queued.",
        done=("job canceled", "jobs canceled"),
    )
    def cancel(self, request: HttpRequest, job: ProcrastinateJob, reason: str) -> None:
        if not app.job_manager.cancel_job_by_id(job.id):
            raise JobNotCancelable(f"This job is {job.status}. Only a waiting job can be canceled.")
        _record("job.canceled", request, job, "cancelled", reason)


@admin.register(OutgoingEmail)
class OutgoingEmailAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "category", "recipients", "subject", "state", "attempts", "last_error", "sent_at"]
    list_filter = ["state", indexed_values_filter("category"), "created_at"]
    search_fields = ["recipients__contains", "reference"]
    fields = [*list_display, "reference", "organization_id", "next_attempt_at", "expires_at"]
    readonly_fields = fields
    actions = ["retry"]

    @confirmed_action(
        "Send again now",
        permission="common.change_outgoingemail",
        effect=(
            "A waiting message is delivered within seconds. A delivered or abandoned message is created again, with current data and new "
            "links, and sent as a new message."
        ),
        done=("message queued", "messages queued"),
        preview=previews,
    )
    def retry(self, request: HttpRequest, email: OutgoingEmail, reason: str) -> None:
        resend(request, email, reason)


def _record(action: str, request: HttpRequest, job: Any, status: str, reason: str) -> None:
    audit.record(
        action,
        organization=None,
        actor=staff(request),
        target=f"{job.task_name} {job.id}",
        before={"status": job.status},
        after={"status": status},
        reason=reason,
    )
