"""Failed deliveries and jobs: emails, customers' webhooks, and background jobs."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.jobs import Status

from accounts.models import Organization, WorkItem
from billing.models import BillingNotification
from billing.notifications.deliver import MAX_ATTEMPTS
from contextmcp.common.models import OutgoingEmail
from usage.models import WebhookEndpoint

from .base import Finding, RowSource, first_line

# Short failures of customers' endpoints are normal. Deliveries are retried for 18 hours.
FAILING_FOR = timedelta(hours=6)


class FailedEmails(RowSource):
    """Emails that could not be delivered in time."""

    kind = "failed_email"
    title = "Undelivered emails"
    model = "common.outgoingemail"
    priority = WorkItem.Priority.HIGH

    def rows(self, present: datetime) -> QuerySet[OutgoingEmail]:
        """Return the emails whose delivery failed permanently."""
        return OutgoingEmail.objects.filter(state=OutgoingEmail.State.FAILED).order_by("-created_at")

    def findings(self, rows: list[OutgoingEmail]) -> Iterable[Finding]:
        """Return a problem for each email, with its kind and recipients but not its subject, which may contain names."""
        for email in rows:
            title = f"{email.category} to {', '.join(email.recipients)} was not delivered"
            yield Finding(str(email.pk), title[:255], first_line(email.last_error), email.organization_id)


class FailedBillingEmails(RowSource):
    """Billing emails that could not be prepared."""

    kind = "failed_billing_email"
    title = "Failed billing emails"
    model = "billing.billingnotification"
    priority = WorkItem.Priority.HIGH

    def rows(self, present: datetime) -> QuerySet[BillingNotification]:
        """Return billing emails without attempts left."""
        unsent = BillingNotification.objects.filter(sent_at=None, canceled_at=None, attempts__gte=MAX_ATTEMPTS)
        return unsent.filter(due_at__lte=present).order_by("-due_at")

    def findings(self, rows: list[BillingNotification]) -> Iterable[Finding]:
        """Return a problem for each email, with its kind."""
        for email in rows:
            title = f"The email {email.kind.replace('_', ' ')} was not sent"
            yield Finding(str(email.pk), title, first_line(email.error), email.organization_id)


class FailingEndpoints(RowSource):
    """Webhook endpoints of customers that have not accepted a message for hours, or were disabled for that reason."""

    kind = "failing_endpoint"
    title = "Failing webhook endpoints"
    model = "usage.webhookendpoint"

    def rows(self, present: datetime) -> QuerySet[WebhookEndpoint]:
        """Return endpoints that have been failing for FAILING_FOR. Those that their owner disabled are left out."""
        failing = WebhookEndpoint.objects.filter(failing_since__lte=present - FAILING_FOR, organization__closed_at=None)
        return failing.filter(Q(enabled=True) | ~Q(disabled_reason="")).order_by("-failing_since")

    def findings(self, rows: list[WebhookEndpoint]) -> Iterable[Finding]:
        """Return a problem for each endpoint, with the time of its first failure."""
        for endpoint in rows:
            since = endpoint.failing_since
            assert since is not None
            state = "failing" if endpoint.enabled else "disabled"
            title = f"A webhook endpoint has been {state} since {since:%Y-%m-%d %H:%M} UTC"
            yield Finding(str(endpoint.pk), title, endpoint.disabled_reason, endpoint.organization_id, since.isoformat())


class FailedJobs(RowSource):
    """Background jobs without attempts left."""

    kind = "failed_job"
    title = "Failed jobs"
    model = "procrastinate.procrastinatejob"
    priority = WorkItem.Priority.HIGH

    def rows(self, present: datetime) -> QuerySet[ProcrastinateJob]:
        """Return failed jobs."""
        jobs: QuerySet[ProcrastinateJob] = ProcrastinateJob.objects.filter(status=Status.FAILED.value).order_by("-id")
        return jobs

    def findings(self, rows: list[ProcrastinateJob]) -> Iterable[Finding]:
        """Return a problem for each job, with its task."""
        named = {job.args.get("organization_id") for job in rows}
        known = {str(pk): pk for pk in Organization.objects.filter(pk__in=named - {None}).values_list("pk", flat=True)}
        for job in rows:
            title = f"{job.task_name} failed after {job.attempts} attempts"
            yield Finding(str(job.pk), title, "", known.get(str(job.args.get("organization_id"))), str(job.attempts))


SOURCES = (FailedEmails, FailedBillingEmails, FailingEndpoints, FailedJobs)
