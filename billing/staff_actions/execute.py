"""Execute a change that staff requested at Stripe exactly once, audit it, and sync the customer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.audit import record
from accounts.models import Organization, User
from billing.customer_locks import serialized
from billing.errors import StaffActionFailed, StripeUnavailable
from billing.idempotent_actions import RESUME_WINDOW, finish_action, supersede_pending_actions
from billing.models import BillingAction
from billing.sync.customer import sync_customer
from contextmcp.common.clock import now

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StaffRequest:
    """A change that staff confirmed. `id` is the ID of its `BillingAction` and the idempotency key at Stripe."""

    actor: User
    reason: str
    id: UUID


def is_started(organization: Organization, request_id: UUID) -> bool:
    """Return whether the organization's request with this id was started. Its parameters cannot change after that."""
    return BillingAction.objects.filter(pk=request_id, organization=organization).exists()


def parameters_of(organization: Organization, request: StaffRequest, kind: str, prepare: Callable[[], Values]) -> Values:
    """Return the stored parameters of a started request, or those that `prepare` returns for a new one.

    Raises `StaffActionFailed` if the id is that of another request. The id comes from a form, so a client can send any id.
    """
    row = BillingAction.objects.filter(pk=request.id).first()
    if row is None:
        return prepare()
    if (row.organization_id, row.kind, row.created_by_id) != (organization.pk, kind, request.actor.pk):
        raise StaffActionFailed
    return dict(row.parameters)


def execute(organization: Organization, request: StaffRequest, kind: str, parameters: Values, change: Callable[[UUID], Values]) -> None:
    """Call `change` with the idempotency key, and sync `parameters["customer"]`.

    `change` returns the values before and after, for the audit log.

    The row of the action is committed before the request. If the response is lost, the same request is sent again with the same key, and
    an action that is done is not repeated. Therefore `change` depends on `parameters` only (see `parameters_of`).

    Raises:
        StripeUnavailable: the outcome is unknown. Call this again with the same request.
        StaffActionFailed: this request was refused before, or is too old to be repeated. A new one is needed.
    """
    with serialized(organization.pk):
        row, created = BillingAction.objects.get_or_create(
            pk=request.id,
            defaults={"organization": organization, "kind": kind, "parameters": parameters, "created_by": request.actor},
        )
        if created:
            supersede_pending_actions(organization, but=row)
        if row.state == BillingAction.State.PENDING and row.created_at < now() - RESUME_WINDOW:
            finish_action(row, BillingAction.State.FAILED, "expired")
        if row.state == BillingAction.State.FAILED:
            raise StaffActionFailed
        if row.state != BillingAction.State.DONE:
            _change(row, organization, request, change)
        sync_customer(parameters["customer"])


def _change(row: BillingAction, organization: Organization, request: StaffRequest, change: Callable[[UUID], Values]) -> None:
    try:
        values = change(row.pk)
    except StripeUnavailable:
        raise  # The outcome is unknown, so the action stays pending.
    except Exception as error:
        finish_action(row, BillingAction.State.FAILED, f"{type(error).__name__}: {error}"[:500])
        raise
    with transaction.atomic():
        finish_action(row, BillingAction.State.DONE)
        record(
            f"billing.{row.kind}",
            organization=organization,
            actor=request.actor,
            target=str(values.get("target", f"billing:{organization.pk}")),
            before=values["before"],
            after=values["after"],
            reason=request.reason,
        )
