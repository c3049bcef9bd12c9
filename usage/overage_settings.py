"""Enable, disable and cap overage: units sold beyond a quota."""

from accounts.models import Organization
from entitlements.manager import EntitlementsManager
from entitlements.types import Kind

from .authorize.requests import validation_error
from .models import OverageSetting


def disable_overage(organization: Organization) -> None:
    """Disable overage for every feature of the organization. The caps are kept so that the billing page can show them."""
    OverageSetting.objects.filter(organization=organization, enabled=True).update(enabled=False)


def set_overage(organization: Organization, feature: str, *, enabled: bool, cap_minor: int, currency: str) -> OverageSetting:
    """Enable or disable overage for a feature, with a cap per usage month in minor units of `currency`.

    The setting applies from the next decision. Disabling overage or lowering the cap does not change overage that was already recorded.
    Raises `ValidationFailed`, or `FeatureNotAvailable` if the plan does not include the feature.
    """
    entitlement = EntitlementsManager(organization).require(feature)
    if entitlement.kind is not Kind.QUOTA:
        raise validation_error("feature", f"{feature} has no monthly quota.")
    if enabled and entitlement.overage_unit_amount is None:
        raise validation_error("feature", f"Your plan does not offer overage for {feature}.")
    if enabled and currency != entitlement.overage_currency:
        raise validation_error("currency", f"Overage for {feature} is billed in {entitlement.overage_currency}.")
    if cap_minor < 0:
        raise validation_error("cap", "Enter an amount of 0 or more.")
    values = {"enabled": enabled, "cap_minor": cap_minor, "currency": currency}
    setting, _ = OverageSetting.objects.update_or_create(organization=organization, feature=feature, defaults=values)
    return setting
