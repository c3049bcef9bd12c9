"""The account and its tax settings."""

from stripe_simulator.defaults import new_object
from stripe_simulator.parameters import read_all
from stripe_simulator.render import already_rendered
from stripe_simulator.routes.match import route
from stripe_simulator.types import Obj, Params
from stripe_simulator.unit_of_work import Unit

ID = "acct_1LocalContextMCP0"


def account_object() -> Obj:
    account = new_object(
        "account",
        id=ID,
        business_profile=new_object("account_business_profile", name="ContextMCP local"),
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
    account["settings"] = new_object("account_settings")
    account["settings"]["dashboard"] = {"display_name": "ContextMCP local", "timezone": "Etc/UTC"}
    account["metadata"] = {}
    return account


@route("GET", "/v1/account")
def retrieve(unit: Unit, p: Params) -> Obj:
    return already_rendered(account_object())


@route("GET", "/v1/accounts/{account}")
def retrieve_by_id(unit: Unit, p: Params) -> Obj:
    return already_rendered(account_object())


@route("GET", "/v1/tax/settings")
def tax_settings(unit: Unit, p: Params) -> Obj:
    return already_rendered(_tax(unit))


@route("POST", "/v1/tax/settings")
def change_tax_settings(unit: Unit, p: Params) -> Obj:
    unit.store.set("tax", {**(unit.store.setting("tax") or {}), **read_all(p)})
    return already_rendered(_tax(unit))


def _tax(unit: Unit) -> Obj:
    stored = unit.store.setting("tax") or {}
    defaults = {"provider": "stripe", "tax_behavior": None, "tax_code": None, **stored.get("defaults", {})}
    office = stored.get("head_office")
    return new_object(
        "tax.settings",
        defaults=defaults,
        head_office={"address": new_object("address", **office["address"])} if office else None,
        status="active" if office else "pending",
        status_details={"active": {}} if office else {"pending": {"missing_fields": ["head_office"]}},
    )
