"""Errors of the entitlements app. Each has a stable code and an HTTP status."""

from typing import Any, Self

from django.conf import settings
from django.utils.translation import gettext_noop as _

from contextmcp.common.errors import Conflict, DomainError, ValidationFailed


class _Upgradable(DomainError):
    """An error whose details name the page where the plan can be upgraded (`upgrade_url`)."""

    def __init__(self, message: str | None = None, **details: Any) -> None:
        super().__init__(message, **details, upgrade_url=f"{settings.PUBLIC_URL}/pricing/")


class FeatureNotAvailable(_Upgradable):
    """Details: feature, plan, available_in (the cheapest plan that has it, or None), upgrade_url."""

    code = "feature_not_available"
    status = 403
    message = _("Your plan does not include this feature.")


class PlanInactive(DomainError):
    """The organization is closed. Details: feature."""

    code = "plan_inactive"
    status = 402
    message = _("This organization is closed, so it has no plan.")


class PaymentRequired(DomainError):
    """The plan that included this feature lapsed because a payment failed. Details: feature, plan, upgrade_url (where to pay)."""

    code = "payment_required"
    status = 402
    message = _("A payment failed and the grace period has ended. Update your payment method to restore access.")

    def __init__(self, message: str | None = None, **details: Any) -> None:
        super().__init__(message, **details, upgrade_url=f"{settings.PUBLIC_URL}/account/billing/")


class UnknownFeature(ValidationFailed):
    message = "This feature does not exist."

    @classmethod
    def named(cls, feature: str) -> Self:
        return cls(errors=[{"field": "feature", "message": f"Unknown feature {feature[:64]!r}."}])


class UnknownPlan(ValidationFailed):
    message = _("This plan does not exist.")

    @classmethod
    def named(cls, plan: str) -> Self:
        return cls(errors=[{"field": "plan", "message": f"Unknown plan {plan[:64]!r}."}])


class PublishedVersionChanged(Conflict):
    """The catalog differs from the published version with the same number. Details: plan, version, fields."""

    code = "plan_version_published"
    message = "A published plan version cannot change. Increase its version number instead."


class GrantOfSubscription(Conflict):
    code = "grant_of_subscription"
    message = "This grant belongs to a subscription and ends with it."


class AlreadyEnded(Conflict):
    code = "already_ended"
    message = "This grant or override has already ended."


class GrantTakesAway(Conflict):
    """A grant by staff would give a paying customer less than they pay for. Details: `features` (names)."""

    code = "grant_takes_away"
    message = "This plan includes less than the customer pays for. Add free days, a discount or credit, or override single limits instead."
