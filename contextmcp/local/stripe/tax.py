"""Automatic tax: what must be set up before it may be switched on. No registrations are simulated, so no tax is ever collected."""

from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.kinds import Obj, Params
from contextmcp.local.stripe.parameters import only
from contextmcp.local.stripe.unit import Unit


def wanted(unit: Unit, given: Params, customer: Obj | None, *, asks_address: bool = False) -> bool:
    """Whether automatic tax is asked for; refused as Stripe refuses it while the head office or the customer's place is unknown."""
    chosen = given.get("automatic_tax") or {}
    only(chosen.get("liability") or {}, "type", "self", of="automatic_tax[liability]")
    if not chosen.get("enabled"):
        return False
    if not (unit.store.setting("tax") or {}).get("head_office"):
        message = (
            "You must have a valid head office address to enable automatic tax calculation in test mode. "
            "Visit https://dashboard.stripe.com/test/settings/tax to update it."
        )
        raise invalid(message, "automatic_tax[enabled]")
    if customer is not None and not asks_address and not (customer.get("address") or {}).get("country"):
        message = (
            "The customer's location isn't recognized. Set a valid customer address in order to automatically calculate tax. "
            "Refer to https://stripe.com/docs/tax/customer-locations for more info."
        )
        raise invalid(message, "automatic_tax", "customer_tax_location_invalid")
    return True
