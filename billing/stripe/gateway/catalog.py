"""Products, prices and meters."""

from typing import Any

from billing.errors import StripeMissing

from .client import call, pages


def product(product_id: str) -> dict[str, Any] | None:
    """Return the product; None if it does not exist."""
    try:
        return call("get", f"/v1/products/{product_id}")
    except StripeMissing:
        return None


def create_product(product_id: str, *, key: object, **params: Any) -> dict[str, Any]:
    return call("post", "/v1/products", key=key, id=product_id, **params)


def update_product(product_id: str, *, key: object, **params: Any) -> dict[str, Any]:
    return call("post", f"/v1/products/{product_id}", key=key, **params)


def price(price_id: str) -> dict[str, Any] | None:
    """Return the price with its product expanded; None if it does not exist."""
    try:
        return call("get", f"/v1/prices/{price_id}", expand=["product"])
    except StripeMissing:
        return None


def coupon(coupon_id: str) -> dict[str, Any] | None:
    """Return the coupon; None if it does not exist or was deleted."""
    try:
        return call("get", f"/v1/coupons/{coupon_id}")
    except StripeMissing:
        return None


def prices_by_lookup_key(keys: list[str]) -> dict[str, dict[str, Any]]:
    """Return the prices that have these lookup keys, by lookup key. Stripe accepts ten keys per request."""
    result: dict[str, dict[str, Any]] = {}
    for start in range(0, len(keys), 10):
        for each in pages("/v1/prices", lookup_keys=keys[start : start + 10]):
            result[each["lookup_key"]] = each
    return result


def create_price(*, key: object, **params: Any) -> dict[str, Any]:
    return call("post", "/v1/prices", key=key, **params)


def meters() -> list[dict[str, Any]]:
    return list(pages("/v1/billing/meters"))


def create_meter(*, key: object, **params: Any) -> dict[str, Any]:
    return call("post", "/v1/billing/meters", key=key, **params)


def create_coupon(*, key: object, **params: Any) -> dict[str, Any]:
    return call("post", "/v1/coupons", key=key, **params)
