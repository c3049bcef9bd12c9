"""Errors of the back office."""

from contextmcp.common.errors import Conflict, DomainError


class JobNotRetryable(Conflict):
    code = "job_not_retryable"
    message = "Only a failed or canceled job can be retried."


class JobNotCancelable(Conflict):
    code = "job_not_cancelable"
    message = "Only a waiting job can be canceled."


class EmailNotResendable(Conflict):
    code = "email_not_resendable"
    message = "This message cannot be sent again."


class InvalidView(DomainError):
    code = "invalid_view"
    status = 422
    message = "Enter a name of at most 60 characters."


class WorkItemClosed(Conflict):
    code = "work_item_closed"
    message = "This item is closed. Reopen it first."


class WorkItemOpen(Conflict):
    code = "work_item_open"
    message = "This item is already open."


class ImpersonationReadOnly(DomainError):
    code = "impersonation_read_only"
    status = 403
    message = "You are viewing this account"

    def __init__(self) -> None:
        super().__init__(
            "Nothing was changed. You are viewing this account in read-only mode. Stop viewing as the member to make changes in the admin."
        )


class ImpersonationUnavailable(DomainError):
    code = "impersonation_unavailable"
    status = 403
    message = "This page is not available"

    def __init__(self) -> None:
        super().__init__("Account security, exports, connecting apps and the API are not available while you view the product as a member.")


class AlertNotOpen(Conflict):
    code = "alert_not_open"
    message = "This alert is already resolved."


class DeliveryNotRetryable(Conflict):
    code = "delivery_not_retryable"
    message = "This message was delivered."


class ActionNotPossible(Conflict):
    code = "action_not_possible"
    message = "The action would change nothing, or the state of the organization does not allow it."
