"""Buying beyond the allowance."""

from accounts.models import Organization
from entitlements.manager import EntitlementsManager
from entitlements.types import Kind

from .models import OverageSetting
from .requests import invalid


def stop_overage(organization: Organization) -> None:
    """Of everything. The caps stay, for who looks at them."""
    OverageSetting.objects.filter(organization=organization, enabled=True).update(enabled=False)


def set_overage(organization: Organization, feature: str, *, enabled: bool, cap_minor: int, currency: str) -> OverageSetting:
    """Takes effect with the next decision. Turning it off, or a lower cap, takes nothing back that was used."""
    allowance = EntitlementsManager(organization).require(feature)
    if allowance.kind is not Kind.QUOTA:
        raise invalid("feature", f"{feature} is not counted by the month.")
    if enabled and allowance.overage_unit_amount is None:
        raise invalid("feature", f"Your plan sells no {feature} beyond the allowance.")
    if enabled and currency != allowance.overage_currency:
        raise invalid("currency", f"{feature} is sold in {allowance.overage_currency}.")
    if cap_minor < 0:
        raise invalid("cap", "Give an amount from 0.")
    wanted = {"enabled": enabled, "cap_minor": cap_minor, "currency": currency}
    setting, _ = OverageSetting.objects.update_or_create(organization=organization, feature=feature, defaults=wanted)
    return setting
