"""The lines and totals of a Checkout session, and their discounts."""

from decimal import Decimal

from stripe_simulator import discounts, invoicing, pricing
from stripe_simulator.defaults import new_object
from stripe_simulator.errors import invalid
from stripe_simulator.lists import embedded_list
from stripe_simulator.render import includes, view
from stripe_simulator.subscriptions import creation
from stripe_simulator.types import Obj
from stripe_simulator.unit_of_work import Unit


def trial_end(unit: Unit, session: Obj) -> int | None:
    return creation.trial_end_of(session["_subscription_data"], unit.now(session))


def price_of(unit: Unit, row: Obj) -> Obj:
    return unit.require("price", row["price"])


def pending_discounts(unit: Unit, session: Obj) -> list[Obj]:
    """Return the discounts that completing the session would apply."""
    out = []
    for number, entry in enumerate(session["_discounts"]):
        code = unit.get(entry.get("promotion_code") or "")
        coupon = code["promotion"]["coupon"] if code else entry["coupon"]
        out.append(
            new_object(
                "discount",
                id=f"di_{session['id'][-20:]}{number}",
                checkout_session=session["id"],
                customer=session["customer"],
                promotion_code=code and code["id"],
                source={"coupon": coupon, "type": "coupon"},
                start=session["created"],
            )
        )
    return out


def lines(unit: Unit, session: Obj) -> list[Obj]:
    """Return the lines that are due now. Trials and metered prices cost nothing yet."""
    trial = session["mode"] == "subscription" and trial_end(unit, session) is not None
    out = []
    for row in session["_rows"]:
        price = price_of(unit, row)
        free = pricing.is_metered(price) or (trial and price["recurring"])
        amount = 0 if free else sum(c.amount for c in pricing.charges(price, Decimal(row["quantity"] or 0)))
        out.append(invoicing.line(amount, price["currency"], pricing.name(unit, price), 0, 0, parent=None, price=price))
    discounts.allocate(unit, pending_discounts(unit, session), out, session["currency"])
    return out


def update_totals(unit: Unit, session: Obj) -> None:
    rows = lines(unit, session)
    off = sum(share["amount"] for row in rows for share in row["discount_amounts"])
    session["amount_subtotal"] = sum(row["amount"] for row in rows)
    session["amount_total"] = session["amount_subtotal"] - off
    session["total_details"] = {"amount_discount": off, "amount_shipping": 0, "amount_tax": 0}
    session["discounts"] = [{"coupon": row.get("coupon"), "promotion_code": row.get("promotion_code")} for row in session["_discounts"]]
    unit.save(session)


def apply_promotion_code(unit: Unit, session: Obj, code: str) -> None:
    """Apply a promotion code that was entered on the page."""
    codes = [each for each in unit.find("promotion_code", tag=code.strip().lower()) if each["active"]]
    if not codes:
        raise invalid("This code is invalid.", "promotion_code", "promotion_code_invalid")
    discounts.redeemable(
        unit, discounts.promotion_of(unit, codes[0]["id"]), session["customer"], session["amount_subtotal"], session["currency"]
    )
    session["_discounts"] = [{"promotion_code": codes[0]["id"]}]
    update_totals(unit, session)


def item_views(unit: Unit, session: Obj) -> list[Obj]:
    out = []
    by_id = {discount["id"]: discount for discount in pending_discounts(unit, session)}
    for row, line in zip(session["_rows"], lines(unit, session), strict=True):
        price = price_of(unit, row)
        off = sum(share["amount"] for share in line["discount_amounts"])
        out.append(
            new_object(
                "item",
                id=row["id"],
                adjustable_quantity=None,
                amount_discount=off,
                amount_subtotal=line["amount"],
                amount_total=line["amount"] - off,
                currency=price["currency"],
                description=pricing.name(unit, price),
                discounts=[
                    {"amount": share["amount"], "discount": view(unit, by_id[share["discount"]])} for share in line["discount_amounts"]
                ],
                metadata={},
                price=view(unit, price),
                quantity=row["quantity"],
                taxes=[],
            )
        )
    return out


@includes("checkout.session", "line_items")
def _line_items(unit: Unit, session: Obj) -> Obj:
    return embedded_list(f"/v1/checkout/sessions/{session['id']}/line_items", item_views(unit, session))


@includes("checkout.session", "total_details.breakdown")
def _breakdown(unit: Unit, session: Obj) -> Obj:
    totals = discounts.allocate(unit, discount_objects := pending_discounts(unit, session), lines(unit, session), session["currency"])
    by_id = {discount["id"]: view(unit, discount) for discount in discount_objects}
    return {"discounts": [{"amount": each["amount"], "discount": by_id[each["discount"]]} for each in totals], "taxes": []}
