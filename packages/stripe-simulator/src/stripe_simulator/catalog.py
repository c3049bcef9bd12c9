"""Products and prices, created through the API or inline in another request."""

from decimal import Decimal

from stripe_simulator import money
from stripe_simulator.defaults import merge_metadata, new_object
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit
from stripe_simulator.parameters import read_all
from stripe_simulator.render import includes
from stripe_simulator.types import Obj, Params, new_id
from stripe_simulator.unit_of_work import Unit


def amounts(params: Params, name: str = "unit_amount") -> tuple[int | None, str | None]:
    """Return an amount as an integer, or None if it has decimals, and as a decimal string."""
    if params.get(f"{name}_decimal") is not None:
        value = Decimal(str(params[f"{name}_decimal"]))
        return int(value) if value == value.to_integral_value() else None, money.format_decimal(value)
    if params.get(name) is not None:
        return params[name], str(params[name])
    return None, None


def new_product(unit: Unit, params: Params) -> Obj:
    now = unit.now()
    product = new_object(
        "product",
        id=params.get("id") or new_id("prod", 14),
        active=params.get("active", True),
        created=now,
        description=params.get("description") or None,
        images=params.get("images") or [],
        marketing_features=read_all(params.get("marketing_features")) or [],
        metadata={},
        name=params["name"],
        statement_descriptor=params.get("statement_descriptor"),
        tax_code=params.get("tax_code"),
        unit_label=params.get("unit_label"),
        updated=now,
        url=params.get("url"),
    )
    if unit.get(product["id"]):
        raise invalid(f"Product already exists: {product['id']}", "id", "resource_already_exists")
    merge_metadata(product, params.get("metadata"))
    unit.add(product)
    emit(unit, "product.created", product)
    return product


def inline_price(unit: Unit, data: Params) -> Obj:
    """Create a price inline. Stripe stores such prices as inactive."""
    price = new_price(unit, data)
    price["active"] = False
    return price


def new_price(unit: Unit, params: Params) -> Obj:
    if not params.get("product") and not params.get("product_data"):
        raise invalid("You must specify either `product` or `product_data` when creating a price.", "product", "parameter_missing")
    product = unit.require("product", params["product"], "product") if params.get("product") else new_product(unit, params["product_data"])
    tiered = params.get("billing_scheme") == "tiered"
    whole, decimal = amounts(params)
    if not tiered and decimal is None and not params.get("custom_unit_amount"):
        raise invalid("Prices require an `unit_amount` or `unit_amount_decimal` parameter to be set.", "unit_amount", "parameter_missing")
    price = new_object(
        "price",
        id=new_id("price", 24),
        active=params.get("active", True),
        billing_scheme="tiered" if tiered else "per_unit",
        created=unit.now(),
        currency=params["currency"].lower(),
        metadata={},
        nickname=params.get("nickname"),
        product=product["id"],
        recurring=_recurring(unit, params.get("recurring")),
        tax_behavior=params.get("tax_behavior", "unspecified"),
        tiers_mode=params.get("tiers_mode"),
        transform_quantity=read_all(params.get("transform_quantity")),
        type="recurring" if params.get("recurring") else "one_time",
        unit_amount=whole,
        unit_amount_decimal=decimal,
        _tiers=_tiers(params) if tiered else [],
    )
    merge_metadata(price, params.get("metadata"))
    claim_lookup_key(unit, price, params)
    unit.add(price)
    emit(unit, "price.created", price)
    return price


def claim_lookup_key(unit: Unit, price: Obj, params: Params) -> None:
    key = params.get("lookup_key")
    transfer = params.get("transfer_lookup_key")
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


def _recurring(unit: Unit, params: Params | None) -> Obj | None:
    if not params:
        return None
    metered = params.get("usage_type") == "metered"
    if metered and not params.get("meter"):
        # Stripe removed usage records, so a metered price needs a billing meter.
        message = "You must specify a `meter` when creating a metered price."
        raise invalid(message, "recurring[meter]", "parameter_missing")
    if params.get("meter"):
        unit.require("billing.meter", params["meter"], "recurring[meter]")
    return {
        "interval": params["interval"],
        "interval_count": params.get("interval_count", 1),
        "meter": params.get("meter"),
        "usage_type": "metered" if metered else "licensed",
    }


def _tiers(params: Params) -> list[Obj]:
    if not params.get("tiers") or not params.get("tiers_mode"):
        raise invalid("Tiered prices require `tiers` and `tiers_mode`.", "tiers", "parameter_missing")
    out = []
    for tier in params["tiers"]:
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
