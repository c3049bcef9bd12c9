"""Errors of the back office."""

from contextmcp.common.errors import Conflict


class JobNotRetryable(Conflict):
    code = "job_not_retryable"
    message = "Only a failed or canceled job can be retried."


class JobNotCancelable(Conflict):
    code = "job_not_cancelable"
    message = "Only a waiting job can be canceled."


class EmailNotRetryable(Conflict):
    code = "email_not_retryable"
    message = "The content of this message was deleted. Resend it from the page that created it."


class WorkItemClosed(Conflict):
    code = "work_item_closed"
    message = "This item is closed. Reopen it first."


class WorkItemOpen(Conflict):
    code = "work_item_open"
    message = "This item is open."
