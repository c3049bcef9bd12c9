"""Discounts given by staff: a coupon on the subscription at Stripe (https://docs.stripe.com/billing/subscriptions/coupons)."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from accounts.models import Organization
from billing.documents.stripe_documents import reference_id
from billing.errors import NoSubscription
from billing.stripe.gateway import catalog, subscriptions
from billing.subscriptions.resolve_plan_change import require_active_subscription

from .execute import StaffRequest, execute, parameters_of

DURATIONS = {"once": "Next invoice only", "repeating": "Multiple months", "forever": "All future invoices"}


@dataclass(frozen=True, slots=True)
class Discount:
    """A discount to add: either `percent_off` or `amount_off` (minor units), for `months` if the duration is repeating.

    A `coupon` that exists at Stripe is used instead of a new one.
    """

    percent_off: float | None = None
    amount_off: int | None = None
    duration: str = "once"
    months: int | None = None
    coupon: str = ""


def give_discount(organization: Organization, discount: Discount, request: StaffRequest) -> None:
    """Add a discount to the subscription. Existing discounts are kept.

    Raises `NoSubscription`, and a `PromotionCodeRefused` if the coupon does not exist or cannot be redeemed.
    """

    def prepare() -> dict[str, Any]:
        state = require_active_subscription(organization)
        return {
            "subscription": state.stripe_subscription_id,
            "customer": state.stripe_customer_id,
            "currency": state.currency,
            "discounts": _present_discounts(state.stripe_subscription_id),
            "percent_off": discount.percent_off,
            "amount_off": discount.amount_off,
            "duration": discount.duration,
            "months": discount.months,
            "coupon": discount.coupon,
        }

    parameters = parameters_of(organization, request, "discount", prepare)

    def change(key: UUID) -> dict[str, Any]:
        coupon = parameters["coupon"] or catalog.create_coupon(key=f"{key}-coupon", **_coupon(parameters, key))["id"]
        kept = parameters["discounts"]
        rows = [*({"discount": each} for each in kept), {"coupon": coupon}]
        document = subscriptions.update(parameters["subscription"], key=key, discounts=rows)
        names = ("percent_off", "amount_off", "currency", "duration", "months")
        terms = {name: parameters[name] for name in names if parameters[name] is not None and not parameters["coupon"]}
        return {
            "target": parameters["subscription"],
            "before": {"discounts": kept},
            "after": {"discounts": [reference_id(each) for each in document["discounts"]], "coupon": coupon, **terms},
        }

    execute(organization, request, "discount", parameters, change)


def end_discounts(organization: Organization, request: StaffRequest) -> None:
    """Remove all discounts of the subscription. Existing invoices are not changed. Raises `NoSubscription`."""

    def prepare() -> dict[str, Any]:
        state = require_active_subscription(organization)
        present = _present_discounts(state.stripe_subscription_id)
        return {"subscription": state.stripe_subscription_id, "customer": state.stripe_customer_id, "discounts": present}

    parameters = parameters_of(organization, request, "end_discounts", prepare)

    def change(key: UUID) -> dict[str, Any]:
        subscriptions.update(parameters["subscription"], key=key, discounts="")
        return {
            "target": parameters["subscription"],
            "before": {"discounts": parameters["discounts"]},
            "after": {"discounts": []},
        }

    execute(organization, request, "end_discounts", parameters, change)


def _present_discounts(subscription_id: str) -> list[str]:
    document = subscriptions.retrieve(subscription_id)
    if document is None:
        raise NoSubscription
    return [reference_id(each) for each in document["discounts"]]


def _coupon(parameters: dict[str, Any], key: UUID) -> dict[str, Any]:
    terms: dict[str, Any] = {"duration": parameters["duration"], "name": "Discount by support", "max_redemptions": 1}
    if parameters["duration"] == "repeating":
        terms["duration_in_months"] = parameters["months"]
    if parameters["percent_off"] is not None:
        terms["percent_off"] = parameters["percent_off"]
    else:
        terms |= {"amount_off": parameters["amount_off"], "currency": parameters["currency"]}
    return {**terms, "metadata": {"action": str(key)}}
