"""Products, and the features of Stripe's entitlements that hang on them."""

from contextmcp.local.stripe import catalog
from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.events import emit, updated
from contextmcp.local.stripe.kinds import Obj, Params, new_id
from contextmcp.local.stripe.lists import page
from contextmcp.local.stripe.parameters import take_all
from contextmcp.local.stripe.render import embeds, view
from contextmcp.local.stripe.routes.match import answers
from contextmcp.local.stripe.shape import blank, merge_metadata
from contextmcp.local.stripe.unit import Unit

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


@answers("POST", "/v1/products")
def create(unit: Unit, p: Params) -> Obj:
    product = catalog.new_product(unit, p)
    if data := p.get("default_price_data"):
        price = catalog.new_price(unit, {**data, "product": product["id"]})
        product["default_price"] = price["id"]
        unit.save(product)
    return product


@answers("GET", "/v1/products/{id}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.need("product", p["id"], deleted=True)


@answers("POST", "/v1/products/{id}")
def update(unit: Unit, p: Params) -> Obj:
    product = unit.need("product", p["id"])
    for name in FIELDS:
        if name in p:
            empty: object = [] if name in ("images", "marketing_features") else None
            product[name] = take_all(p[name]) if p[name] != "" else empty
    if "default_price" in p:
        product["default_price"] = unit.need("price", p["default_price"], "default_price")["id"]
    merge_metadata(product, p.get("metadata"))
    product["updated"] = unit.now()
    updated(unit, product)
    return product


@answers("DELETE", "/v1/products/{id}")
def delete(unit: Unit, p: Params) -> Obj:
    product = unit.need("product", p["id"])
    if unit.find("price", parent=product["id"]):
        raise invalid("This product cannot be deleted because it has one or more user-created prices.")
    emit(unit, "product.deleted", product)
    return unit.tombstone(product)


@answers("GET", "/v1/products")
def index(unit: Unit, p: Params) -> Obj:
    found = unit.find("product")
    if "ids" in p:
        found = [product for product in found if product["id"] in p["ids"]]
    for name in ("active", "url", "shippable"):
        if name in p:
            found = [product for product in found if product[name] == p[name]]
    return page("/v1/products", found, p)


@answers("GET", "/v1/products/{product}/features")
def features(unit: Unit, p: Params) -> Obj:
    unit.need("product", p["product"])
    return page(f"/v1/products/{p['product']}/features", unit.find("product_feature", parent=p["product"]), p)


@answers("POST", "/v1/products/{product}/features")
def attach_feature(unit: Unit, p: Params) -> Obj:
    unit.need("product", p["product"])
    feature = unit.need("entitlements.feature", p["entitlement_feature"], "entitlement_feature")
    made = blank("product_feature", id=new_id("prodft", 24), entitlement_feature=feature["id"], _product=p["product"])
    return unit.add(made)


@answers("GET", "/v1/products/{product}/features/{id}")
def retrieve_feature(unit: Unit, p: Params) -> Obj:
    return unit.need("product_feature", p["id"])


@answers("DELETE", "/v1/products/{product}/features/{id}")
def detach_feature(unit: Unit, p: Params) -> Obj:
    return unit.tombstone(unit.need("product_feature", p["id"]))


@embeds("product_feature")
def _embed(unit: Unit, feature: Obj, shown: Obj) -> None:
    shown["entitlement_feature"] = view(unit, unit.need("entitlements.feature", feature["entitlement_feature"]))


@answers("POST", "/v1/entitlements/features")
def create_entitlement(unit: Unit, p: Params) -> Obj:
    if unit.find("entitlements.feature", tag=p["lookup_key"]):
        raise invalid(f"A feature with lookup key {p['lookup_key']} already exists.", "lookup_key", "resource_already_exists")
    made = blank("entitlements.feature", id=new_id("feat", 24), active=True, lookup_key=p["lookup_key"], metadata={}, name=p["name"])
    merge_metadata(made, p.get("metadata"))
    return unit.add(made)


@answers("GET", "/v1/entitlements/features")
def entitlements(unit: Unit, p: Params) -> Obj:
    found = unit.find("entitlements.feature", tag=p.get("lookup_key"))
    return page("/v1/entitlements/features", [f for f in found if f["active"] != p.get("archived", False)], p)


@answers("GET", "/v1/entitlements/features/{id}")
def retrieve_entitlement(unit: Unit, p: Params) -> Obj:
    return unit.need("entitlements.feature", p["id"])


@answers("POST", "/v1/entitlements/features/{id}")
def update_entitlement(unit: Unit, p: Params) -> Obj:
    feature = unit.need("entitlements.feature", p["id"])
    feature |= {name: p[name] for name in ("active", "name") if name in p}
    merge_metadata(feature, p.get("metadata"))
    unit.save(feature)
    return feature
