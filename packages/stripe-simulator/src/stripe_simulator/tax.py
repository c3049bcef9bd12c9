"""Automatic tax: what must be configured before it can be enabled. There are no registrations, so the tax is always zero."""

from stripe_simulator.errors import invalid
from stripe_simulator.parameters import accept_only
from stripe_simulator.types import Obj, Params
from stripe_simulator.unit_of_work import Unit


def is_requested(unit: Unit, params: Params, customer: Obj | None, *, collects_address: bool = False) -> bool:
    """Return whether automatic tax is requested. As at Stripe, refuse it while the head office or the customer's location is unknown."""
    automatic = params.get("automatic_tax") or {}
    accept_only(automatic.get("liability") or {}, "type", "self", of="automatic_tax[liability]")
    if not automatic.get("enabled"):
        return False
    if not (unit.store.setting("tax") or {}).get("head_office"):
        message = (
            "You must have a valid head office address to enable automatic tax calculation in test mode. "
            "Visit https://dashboard.stripe.com/test/settings/tax to update it."
        )
        raise invalid(message, "automatic_tax[enabled]")
    if customer is not None and not collects_address and not (customer.get("address") or {}).get("country"):
        message = (
            "The customer's location isn't recognized. Set a valid customer address in order to automatically calculate tax. "
            "Refer to https://stripe.com/docs/tax/customer-locations for more info."
        )
        raise invalid(message, "automatic_tax", "customer_tax_location_invalid")
    return True
