"""Why something may not be done under the present plan."""

from typing import Any, Self

from django.conf import settings

from contextmcp.common.errors import Conflict, DomainError, ValidationFailed


class _Upgradable(DomainError):
    """Says where to go on."""

    def __init__(self, message: str | None = None, **details: Any) -> None:
        super().__init__(message, **details, upgrade_url=f"{settings.PUBLIC_URL}/pricing/")


class FeatureNotAvailable(_Upgradable):
    """Details: feature, plan, available_in (the cheapest plan that has it, or None), upgrade_url."""

    code = "feature_not_available"
    status = 403
    message = "Your plan does not include this feature."


class PlanInactive(DomainError):
    """The organization is closed. Details: feature."""

    code = "plan_inactive"
    status = 402
    message = "This organization is closed, so it has no plan."


class PaymentRequired(DomainError):
    """The plan that included this was lost for want of payment. Details: feature, plan, upgrade_url (where to pay)."""

    code = "payment_required"
    status = 402
    message = "A payment failed and the grace period is over. Update the payment method to have this back."

    def __init__(self, message: str | None = None, **details: Any) -> None:
        super().__init__(message, **details, upgrade_url=f"{settings.PUBLIC_URL}/account/billing/")


class UnknownFeature(ValidationFailed):
    message = "There is no such feature."

    @classmethod
    def named(cls, feature: str) -> Self:
        return cls(errors=[{"field": "feature", "message": f"There is no feature named {feature[:64]!r}."}])


class UnknownPlan(ValidationFailed):
    message = "There is no such plan."

    @classmethod
    def named(cls, plan: str) -> Self:
        return cls(errors=[{"field": "plan", "message": f"There is no plan named {plan[:64]!r}."}])


class PublishedVersionChanged(Conflict):
    """The catalogue says something else about a version than what was published. Details: plan, version, fields."""

    message = "A published plan version never changes: raise its version number instead."


class AlreadyEnded(Conflict):
    message = "This has already ended."
