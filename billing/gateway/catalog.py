"""Products, prices and meters: what publishing the catalogue makes."""

from typing import Any

from billing.errors import StripeMissing

from .client import ask, pages


def product(product_id: str) -> dict[str, Any] | None:
    try:
        return ask("get", f"/v1/products/{product_id}")
    except StripeMissing:
        return None


def create_product(product_id: str, *, key: object, **params: Any) -> dict[str, Any]:
    return ask("post", "/v1/products", key=key, id=product_id, **params)


def update_product(product_id: str, *, key: object, **params: Any) -> dict[str, Any]:
    return ask("post", f"/v1/products/{product_id}", key=key, **params)


def price(price_id: str) -> dict[str, Any] | None:
    try:
        return ask("get", f"/v1/prices/{price_id}")
    except StripeMissing:
        return None


def prices_by_lookup_key(keys: list[str]) -> dict[str, dict[str, Any]]:
    """Stripe takes ten keys at a time."""
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(keys), 10):
        for each in pages("/v1/prices", lookup_keys=keys[start : start + 10]):
            found[each["lookup_key"]] = each
    return found


def create_price(*, key: object, **params: Any) -> dict[str, Any]:
    return ask("post", "/v1/prices", key=key, **params)


def meters() -> list[dict[str, Any]]:
    return list(pages("/v1/billing/meters"))


def create_meter(*, key: object, **params: Any) -> dict[str, Any]:
    return ask("post", "/v1/billing/meters", key=key, **params)
