"""Products, prices, features and coupons."""

import pytest
import stripe
from simulator_fixtures import Shop


def test_a_lookup_key_belongs_to_one_price_until_transferred(shop: Shop) -> None:
    old = shop.price(900, lookup_key="pro_monthly")
    with pytest.raises(stripe.InvalidRequestError):
        shop.price(1000, lookup_key="pro_monthly")
    new = shop.price(1000, lookup_key="pro_monthly", transfer_lookup_key=True)
    assert [price.id for price in shop.v1.prices.list({"lookup_keys": ["pro_monthly"]}).data] == [new.id]
    assert shop.v1.prices.retrieve(old.id).lookup_key is None


def test_a_metered_price_needs_a_meter(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.price(2, recurring={"usage_type": "metered"})
    assert refused.value.param == "recurring[meter]"
    price = shop.price(2, recurring={"usage_type": "metered", "meter": shop.meter().id})
    assert price.recurring.usage_type == "metered"


def test_tiers_are_returned_when_expanded(shop: Shop) -> None:
    tiers = [{"up_to": 10, "unit_amount": 0}, {"up_to": "inf", "unit_amount_decimal": "1.5"}]
    price = shop.price(None, billing_scheme="tiered", tiers_mode="graduated", tiers=tiers)
    assert "tiers" not in price.to_dict()
    shown = shop.v1.prices.retrieve(price.id, {"expand": ["tiers"]}).to_dict()["tiers"]
    assert [(tier["up_to"], str(tier["unit_amount_decimal"])) for tier in shown] == [(10, "0"), (None, "1.5")]


def test_a_product_with_prices_cannot_be_deleted(shop: Shop) -> None:
    price = shop.price()
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.products.delete(str(price.product))
    empty = shop.v1.products.create({"name": "Empty"})
    assert shop.v1.products.delete(empty.id).deleted is True
    assert shop.v1.products.update(str(price.product), {"active": False}).active is False


def test_features_are_attached_to_products(shop: Shop) -> None:
    feature = shop.v1.entitlements.features.create({"lookup_key": "sso", "name": "SSO"})
    product = shop.v1.products.create({"name": "Enterprise"})
    shop.v1.products.features.create(product.id, {"entitlement_feature": feature.id})
    found = shop.v1.products.features.list(product.id).data
    assert [each.entitlement_feature.lookup_key for each in found] == ["sso"]


def test_promotion_codes_refer_to_their_coupon(shop: Shop) -> None:
    coupon = shop.v1.coupons.create({"percent_off": 25, "duration": "repeating", "duration_in_months": 3})
    code = shop.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "Spring"})
    found = shop.v1.promotion_codes.list({"code": "spring", "active": True, "expand": ["data.promotion.coupon"]}).data
    assert found[0].id == code.id
    assert found[0].to_dict()["promotion"]["coupon"]["percent_off"] == 25
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "SPRING"})
