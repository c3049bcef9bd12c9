"""Products, prices, features and coupons."""

import pytest
import stripe
from simulator_fixtures import StripeApi


def test_a_lookup_key_belongs_to_one_price_until_transferred(stripe_api: StripeApi) -> None:
    old = stripe_api.price(900, lookup_key="pro_monthly")
    with pytest.raises(stripe.InvalidRequestError):
        stripe_api.price(1000, lookup_key="pro_monthly")
    new = stripe_api.price(1000, lookup_key="pro_monthly", transfer_lookup_key=True)
    assert [price.id for price in stripe_api.v1.prices.list({"lookup_keys": ["pro_monthly"]}).data] == [new.id]
    assert stripe_api.v1.prices.retrieve(old.id).lookup_key is None


def test_a_metered_price_needs_a_meter(stripe_api: StripeApi) -> None:
    with pytest.raises(stripe.InvalidRequestError) as error:
        stripe_api.price(2, recurring={"usage_type": "metered"})
    assert error.value.param == "recurring[meter]"
    price = stripe_api.price(2, recurring={"usage_type": "metered", "meter": stripe_api.meter().id})
    assert price.recurring.usage_type == "metered"


def test_tiers_are_returned_when_expanded(stripe_api: StripeApi) -> None:
    tiers = [{"up_to": 10, "unit_amount": 0}, {"up_to": "inf", "unit_amount_decimal": "1.5"}]
    price = stripe_api.price(None, billing_scheme="tiered", tiers_mode="graduated", tiers=tiers)
    assert "tiers" not in price.to_dict()
    shown = stripe_api.v1.prices.retrieve(price.id, {"expand": ["tiers"]}).to_dict()["tiers"]
    assert [(tier["up_to"], str(tier["unit_amount_decimal"])) for tier in shown] == [(10, "0"), (None, "1.5")]


def test_a_product_with_prices_cannot_be_deleted(stripe_api: StripeApi) -> None:
    price = stripe_api.price()
    with pytest.raises(stripe.InvalidRequestError):
        stripe_api.v1.products.delete(str(price.product))
    empty = stripe_api.v1.products.create({"name": "Empty"})
    assert stripe_api.v1.products.delete(empty.id).deleted is True
    assert stripe_api.v1.products.update(str(price.product), {"active": False}).active is False


def test_features_are_attached_to_products(stripe_api: StripeApi) -> None:
    feature = stripe_api.v1.entitlements.features.create({"lookup_key": "sso", "name": "SSO"})
    product = stripe_api.v1.products.create({"name": "Enterprise"})
    stripe_api.v1.products.features.create(product.id, {"entitlement_feature": feature.id})
    result = stripe_api.v1.products.features.list(product.id).data
    assert [each.entitlement_feature.lookup_key for each in result] == ["sso"]


def test_promotion_codes_refer_to_their_coupon(stripe_api: StripeApi) -> None:
    coupon = stripe_api.v1.coupons.create({"percent_off": 25, "duration": "repeating", "duration_in_months": 3})
    code = stripe_api.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "Spring"})
    result = stripe_api.v1.promotion_codes.list({"code": "spring", "active": True, "expand": ["data.promotion.coupon"]}).data
    assert result[0].id == code.id
    assert result[0].to_dict()["promotion"]["coupon"]["percent_off"] == 25
    with pytest.raises(stripe.InvalidRequestError):
        stripe_api.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "SPRING"})
