"""Prices, made by the API or on the spot inside another request."""

from decimal import Decimal

from contextmcp.local.stripe import money
from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.events import emit
from contextmcp.local.stripe.kinds import Obj, Params, new_id
from contextmcp.local.stripe.parameters import take_all
from contextmcp.local.stripe.render import includes
from contextmcp.local.stripe.shape import blank, merge_metadata
from contextmcp.local.stripe.unit import Unit


def amounts(given: Params, name: str = "unit_amount") -> tuple[int | None, str | None]:
    """An amount in both its forms: whole, if it is whole, and decimal."""
    if given.get(f"{name}_decimal") is not None:
        value = Decimal(str(given[f"{name}_decimal"]))
        return int(value) if value == value.to_integral_value() else None, money.plain(value)
    if given.get(name) is not None:
        return given[name], str(given[name])
    return None, None


def new_product(unit: Unit, given: Params) -> Obj:
    now = unit.now()
    product = blank(
        "product",
        id=given.get("id") or new_id("prod", 14),
        active=given.get("active", True),
        created=now,
        description=given.get("description") or None,
        images=given.get("images") or [],
        marketing_features=take_all(given.get("marketing_features")) or [],
        metadata={},
        name=given["name"],
        statement_descriptor=given.get("statement_descriptor"),
        tax_code=given.get("tax_code"),
        unit_label=given.get("unit_label"),
        updated=now,
        url=given.get("url"),
    )
    if unit.get(product["id"]):
        raise invalid(f"Product already exists: {product['id']}", "id", "resource_already_exists")
    merge_metadata(product, given.get("metadata"))
    unit.add(product)
    emit(unit, "product.created", product)
    return product


def inline_price(unit: Unit, data: Params) -> Obj:
    """A price for one use: it is inactive in the catalogue, as Stripe makes it."""
    price = new_price(unit, data)
    price["active"] = False
    return price


def new_price(unit: Unit, given: Params) -> Obj:
    if not given.get("product") and not given.get("product_data"):
        raise invalid("You must specify either `product` or `product_data` when creating a price.", "product", "parameter_missing")
    product = unit.need("product", given["product"], "product") if given.get("product") else new_product(unit, given["product_data"])
    tiered = given.get("billing_scheme") == "tiered"
    whole, decimal = amounts(given)
    if not tiered and decimal is None and not given.get("custom_unit_amount"):
        raise invalid("Prices require an `unit_amount` or `unit_amount_decimal` parameter to be set.", "unit_amount", "parameter_missing")
    price = blank(
        "price",
        id=new_id("price", 24),
        active=given.get("active", True),
        billing_scheme="tiered" if tiered else "per_unit",
        created=unit.now(),
        currency=given["currency"].lower(),
        metadata={},
        nickname=given.get("nickname"),
        product=product["id"],
        recurring=_recurring(unit, given.get("recurring")),
        tax_behavior=given.get("tax_behavior", "unspecified"),
        tiers_mode=given.get("tiers_mode"),
        transform_quantity=take_all(given.get("transform_quantity")),
        type="recurring" if given.get("recurring") else "one_time",
        unit_amount=whole,
        unit_amount_decimal=decimal,
        _tiers=_tiers(given) if tiered else [],
    )
    merge_metadata(price, given.get("metadata"))
    claim_lookup_key(unit, price, given)
    unit.add(price)
    emit(unit, "price.created", price)
    return price


def claim_lookup_key(unit: Unit, price: Obj, given: Params) -> None:
    key = given.get("lookup_key")
    transfer = given.get("transfer_lookup_key")
    if not key:
        return
    for other in unit.find("price", tag=key):
        if other["id"] == price["id"]:
            continue
        if not transfer:
            message = f"A price (`{other['id']}`) already uses that lookup key. You may use `transfer_lookup_key` to transfer it."
            raise invalid(message, "lookup_key", "resource_already_exists")
        other["lookup_key"] = None
        unit.save(other)
        emit(unit, "price.updated", other)
    price["lookup_key"] = key


def _recurring(unit: Unit, given: Params | None) -> Obj | None:
    if not given:
        return None
    metered = given.get("usage_type") == "metered"
    if metered and not given.get("meter"):
        # Usage records are gone: a metered price counts with a Billing Meter.
        message = "You must specify a `meter` when creating a metered price."
        raise invalid(message, "recurring[meter]", "parameter_missing")
    if given.get("meter"):
        unit.need("billing.meter", given["meter"], "recurring[meter]")
    return {
        "interval": given["interval"],
        "interval_count": given.get("interval_count", 1),
        "meter": given.get("meter"),
        "usage_type": "metered" if metered else "licensed",
    }


def _tiers(given: Params) -> list[Obj]:
    if not given.get("tiers") or not given.get("tiers_mode"):
        raise invalid("Tiered prices require `tiers` and `tiers_mode`.", "tiers", "parameter_missing")
    out = []
    for tier in given["tiers"]:
        unit_whole, unit_decimal = amounts(tier)
        flat_whole, flat_decimal = amounts(tier, "flat_amount")
        out.append(
            {
                "flat_amount": flat_whole,
                "flat_amount_decimal": flat_decimal,
                "unit_amount": unit_whole,
                "unit_amount_decimal": unit_decimal,
                "up_to": None if tier["up_to"] == "inf" else tier["up_to"],
            }
        )
    if out[-1]["up_to"] is not None:
        raise invalid("The last tier must have `up_to` set to `inf`.", "tiers")
    return out


@includes("price", "tiers")
def _show_tiers(unit: Unit, price: Obj) -> list[Obj] | None:
    return price["_tiers"] if price["billing_scheme"] == "tiered" else None


@includes("price", "currency_options")
def _currency_options(unit: Unit, price: Obj) -> Obj:
    shared = {key: price[key] for key in ("custom_unit_amount", "tax_behavior", "unit_amount", "unit_amount_decimal")}
    return {price["currency"]: shared}
