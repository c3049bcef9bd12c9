"""Pause and resume payment collection (https://docs.stripe.com/billing/subscriptions/pause-payment). The plan stays in effect."""

from datetime import datetime
from typing import Any
from uuid import UUID

from accounts.models import Organization
from billing.documents.stripe_documents import to_datetime
from billing.errors import NothingToChange
from billing.models import SubscriptionState
from billing.stripe.gateway import subscriptions
from billing.subscriptions.resolve_plan_change import require_active_subscription

from .execute import StaffRequest, execute, parameters_of

BEHAVIORS = {
    "void": "Void them: the customer is not charged for this time",
    "keep_as_draft": "Keep them as drafts: staff decide later",
    "mark_uncollectible": "Mark them as uncollectible",
}


def pause_collection(organization: Organization, behavior: str, resumes_at: datetime | None, request: StaffRequest) -> None:
    """Pause payment collection until `resumes_at`, or until staff resume it (None). Raises `NoSubscription`, `NothingToChange`."""
    pause: dict[str, Any] = {"behavior": behavior}
    if resumes_at:
        pause["resumes_at"] = int(resumes_at.timestamp())
    _set(organization, "pause_collection", pause, request)


def resume_collection(organization: Organization, request: StaffRequest) -> None:
    """Resume payment collection now. Invoices from the pause are not collected. Raises `NoSubscription`, `NothingToChange`."""
    _set(organization, "resume_collection", None, request)


def _set(organization: Organization, kind: str, pause: dict[str, Any] | None, request: StaffRequest) -> None:
    def prepare() -> dict[str, Any]:
        state = require_active_subscription(organization)
        if pause is None and not state.collection_paused:
            raise NothingToChange("Payment collection is not paused.")
        return {
            "subscription": state.stripe_subscription_id,
            "customer": state.stripe_customer_id,
            "pause": pause,
            "before": _document(state),
        }

    parameters = parameters_of(organization, request, kind, prepare)

    def change(key: UUID) -> dict[str, Any]:
        document = subscriptions.update(parameters["subscription"], key=key, pause_collection=parameters["pause"] or "")
        present = document["pause_collection"] or {}
        resumes = to_datetime(present.get("resumes_at"))
        after = {"collection_paused": present.get("behavior", ""), "resumes_at": resumes.isoformat() if resumes else None}
        return {"target": parameters["subscription"], "before": parameters["before"], "after": after}

    execute(organization, request, kind, parameters, change)


def _document(state: SubscriptionState) -> dict[str, Any]:
    resumes = state.collection_resumes_at
    return {"collection_paused": state.collection_paused, "resumes_at": resumes.isoformat() if resumes else None}
