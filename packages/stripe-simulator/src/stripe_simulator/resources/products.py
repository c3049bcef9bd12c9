"""Products, and the features that are attached to them."""

from stripe_simulator import catalog
from stripe_simulator.defaults import merge_metadata, new_object
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit, updated
from stripe_simulator.lists import page
from stripe_simulator.parameters import read_all
from stripe_simulator.render import embeds, view
from stripe_simulator.routes.match import route
from stripe_simulator.types import Obj, Params, new_id
from stripe_simulator.unit_of_work import Unit

FIELDS = (
    "active",
    "name",
    "images",
    "marketing_features",
    "statement_descriptor",
    "tax_code",
    "unit_label",
    "url",
    "description",
    "shippable",
)


@route("POST", "/v1/products")
def create(unit: Unit, p: Params) -> Obj:
    product = catalog.new_product(unit, p)
    if data := p.get("default_price_data"):
        price = catalog.new_price(unit, {**data, "product": product["id"]})
        product["default_price"] = price["id"]
        unit.save(product)
    return product


@route("GET", "/v1/products/{id}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.require("product", p["id"], deleted=True)


@route("POST", "/v1/products/{id}")
def update(unit: Unit, p: Params) -> Obj:
    product = unit.require("product", p["id"])
    for name in FIELDS:
        if name in p:
            empty: object = [] if name in ("images", "marketing_features") else None
            product[name] = read_all(p[name]) if p[name] != "" else empty
    if "default_price" in p:
        product["default_price"] = unit.require("price", p["default_price"], "default_price")["id"]
    merge_metadata(product, p.get("metadata"))
    product["updated"] = unit.now()
    updated(unit, product)
    return product


@route("DELETE", "/v1/products/{id}")
def delete(unit: Unit, p: Params) -> Obj:
    product = unit.require("product", p["id"])
    if unit.find("price", parent=product["id"]):
        raise invalid("This product cannot be deleted because it has one or more user-created prices.")
    emit(unit, "product.deleted", product)
    return unit.tombstone(product)


@route("GET", "/v1/products")
def index(unit: Unit, p: Params) -> Obj:
    products = unit.find("product")
    if "ids" in p:
        products = [product for product in products if product["id"] in p["ids"]]
    for name in ("active", "url", "shippable"):
        if name in p:
            products = [product for product in products if product[name] == p[name]]
    return page("/v1/products", products, p)


@route("GET", "/v1/products/{product}/features")
def features(unit: Unit, p: Params) -> Obj:
    unit.require("product", p["product"])
    return page(f"/v1/products/{p['product']}/features", unit.find("product_feature", parent=p["product"]), p)


@route("POST", "/v1/products/{product}/features")
def attach_feature(unit: Unit, p: Params) -> Obj:
    unit.require("product", p["product"])
    feature = unit.require("entitlements.feature", p["entitlement_feature"], "entitlement_feature")
    attachment = new_object("product_feature", id=new_id("prodft", 24), entitlement_feature=feature["id"], _product=p["product"])
    return unit.add(attachment)


@route("GET", "/v1/products/{product}/features/{id}")
def retrieve_feature(unit: Unit, p: Params) -> Obj:
    return unit.require("product_feature", p["id"])


@route("DELETE", "/v1/products/{product}/features/{id}")
def detach_feature(unit: Unit, p: Params) -> Obj:
    return unit.tombstone(unit.require("product_feature", p["id"]))


@embeds("product_feature")
def _embed(unit: Unit, feature: Obj, rendered: Obj) -> None:
    rendered["entitlement_feature"] = view(unit, unit.require("entitlements.feature", feature["entitlement_feature"]))


@route("POST", "/v1/entitlements/features")
def create_entitlement(unit: Unit, p: Params) -> Obj:
    if unit.find("entitlements.feature", tag=p["lookup_key"]):
        raise invalid(f"A feature with lookup key {p['lookup_key']} already exists.", "lookup_key", "resource_already_exists")
    feature = new_object(
        "entitlements.feature", id=new_id("feat", 24), active=True, lookup_key=p["lookup_key"], metadata={}, name=p["name"]
    )
    merge_metadata(feature, p.get("metadata"))
    return unit.add(feature)


@route("GET", "/v1/entitlements/features")
def entitlements(unit: Unit, p: Params) -> Obj:
    features_found = unit.find("entitlements.feature", tag=p.get("lookup_key"))
    return page("/v1/entitlements/features", [f for f in features_found if f["active"] != p.get("archived", False)], p)


@route("GET", "/v1/entitlements/features/{id}")
def retrieve_entitlement(unit: Unit, p: Params) -> Obj:
    return unit.require("entitlements.feature", p["id"])


@route("POST", "/v1/entitlements/features/{id}")
def update_entitlement(unit: Unit, p: Params) -> Obj:
    feature = unit.require("entitlements.feature", p["id"])
    feature |= {name: p[name] for name in ("active", "name") if name in p}
    merge_metadata(feature, p.get("metadata"))
    unit.save(feature)
    return feature
