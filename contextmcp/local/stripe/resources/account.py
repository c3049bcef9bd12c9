"""The one account, and its tax settings."""

from contextmcp.local.stripe.kinds import Obj, Params
from contextmcp.local.stripe.parameters import take_all
from contextmcp.local.stripe.render import shown
from contextmcp.local.stripe.routes.match import answers
from contextmcp.local.stripe.shape import blank
from contextmcp.local.stripe.unit import Unit

ID = "acct_1LocalContextMCP0"


def account_object() -> Obj:
    made = blank(
        "account",
        id=ID,
        business_profile=blank("account_business_profile", name="ContextMCP local"),
        business_type="company",
        capabilities={"card_payments": "active", "transfers": "active"},
        charges_enabled=True,
        country="US",
        created=1_700_000_000,
        default_currency="usd",
        details_submitted=True,
        email="owner@example.com",
        payouts_enabled=True,
        type="standard",
    )
    made["settings"] = blank("account_settings")
    made["settings"]["dashboard"] = {"display_name": "ContextMCP local", "timezone": "Etc/UTC"}
    made["metadata"] = {}
    return made


@answers("GET", "/v1/account")
def retrieve(unit: Unit, p: Params) -> Obj:
    return shown(account_object())


@answers("GET", "/v1/accounts/{account}")
def retrieve_by_id(unit: Unit, p: Params) -> Obj:
    return shown(account_object())


@answers("GET", "/v1/tax/settings")
def tax_settings(unit: Unit, p: Params) -> Obj:
    return shown(_tax(unit))


@answers("POST", "/v1/tax/settings")
def change_tax_settings(unit: Unit, p: Params) -> Obj:
    unit.store.set("tax", {**(unit.store.setting("tax") or {}), **take_all(p)})
    return shown(_tax(unit))


def _tax(unit: Unit) -> Obj:
    chosen = unit.store.setting("tax") or {}
    defaults = {"provider": "stripe", "tax_behavior": None, "tax_code": None, **chosen.get("defaults", {})}
    office = chosen.get("head_office")
    return blank(
        "tax.settings",
        defaults=defaults,
        head_office={"address": blank("address", **office["address"])} if office else None,
        status="active" if office else "pending",
        status_details={"active": {}} if office else {"pending": {"missing_fields": ["head_office"]}},
    )
