"""The mapping between Stripe prices and plan versions: which price sells a plan, and which plan a price grants."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction

from accounts.audit import record
from billing import enqueue, operator_alerts
from billing.documents.columns import is_ours
from billing.documents.stripe_documents import Document, KnownPrice, reference_id
from billing.errors import PlanNotSold, ServerMisconfigured
from billing.idempotent_actions import Actor
from billing.models import PlanPrice, SubscriptionState
from billing.models.subscriptions import ENDED
from billing.stripe.gateway import catalog
from billing.stripe.mirror import read
from contextmcp.common.errors import ValidationFailed
from entitlements.catalog import CATALOG
from entitlements.errors import UnknownPlan
from entitlements.manager import EntitlementsManager
from entitlements.models import PlanVersion

from . import named_prices

PLAN_KEY = "contextmcp_plan"


def price_index() -> dict[str, KnownPrice]:
    """Return every registered price by its Stripe id."""
    columns = ("stripe_price_id", "plan_version_id", "plan_version__plan", "plan_version__version", "interval", "amount")
    return {price: KnownPrice(*fields) for price, *fields in PlanPrice.objects.values_list(*columns)}


def own_subscriptions(documents: Iterable[Document]) -> list[dict[str, Any]]:
    """Return the Stripe subscriptions that are for a plan of this product, in the same order."""
    product_of = dict(PlanPrice.objects.values_list("stripe_price_id", "stripe_product_id"))
    products = set(product_of.values()) - {""}
    return [dict(each) for each in documents if is_ours(each, product_of, products)]


def register_external_prices(documents: Iterable[Document]) -> None:
    """Register unpublished prices in these subscriptions, if Stripe's data identifies their plan.

    The plan is named by `contextmcp_plan` in the metadata of the price or of its product; otherwise, a product whose registered prices all
    belong to one plan identifies it. The price is mapped to the latest version of the plan permanently. It is not used for new purchases.
    """
    registered = price_index()
    for document in documents:
        for item in document["items"]["data"] if document["status"] not in ENDED else ():
            price = item["price"]
            if price["id"] in registered or (price.get("recurring") or {}).get("usage_type") != "licensed":
                continue
            if plan := _plan_from_metadata(price):
                _register_if_plan_exists(price, plan)


def _plan_from_metadata(price: Document) -> str:
    product_id = reference_id(price.get("product"))
    plan = (price.get("metadata") or {}).get(PLAN_KEY) or read.product_metadata(product_id).get(PLAN_KEY)
    if plan:
        return str(plan)
    rows = PlanPrice.objects.filter(stripe_product_id=product_id).exclude(stripe_product_id="")
    plans = set(rows.values_list("plan_version__plan", flat=True))
    return str(plans.pop()) if len(plans) == 1 else ""


def _register_if_plan_exists(price: Document, plan: str) -> None:
    try:
        plan_version = EntitlementsManager.version(plan)
    except UnknownPlan:
        return  # Metadata is free text that any dashboard user can edit.
    if _register(plan_version, price)[1]:
        operator_alerts.raise_alert(operator_alerts.PRICE_REGISTERED, price=price["id"], plan=plan_version)


def _register(plan_version: PlanVersion, price: Document) -> tuple[PlanPrice, bool]:
    return PlanPrice.objects.get_or_create(
        stripe_price_id=price["id"],
        defaults={
            "plan_version": plan_version,
            "interval": price["recurring"]["interval"],
            "stripe_product_id": reference_id(price.get("product")),
            "lookup_key": price.get("lookup_key") or "",
            "amount": price.get("unit_amount") or 0,
            "currency": price["currency"],
            "current": False,
        },
    )


def require_registrable_price(price_id: str) -> dict[str, Any]:
    """Return the Stripe price that staff want to register for a plan.

    Raises `ValidationFailed` if there is no such recurring price or it is already registered.
    """
    row = PlanPrice.objects.select_related("plan_version").filter(stripe_price_id=price_id).first()
    if row is not None:
        raise ValidationFailed(f"This price is already registered for {row.plan_version} ({named_prices.billing_frequency(row.interval)}).")
    price = catalog.price(price_id)
    if price is None or (price.get("recurring") or {}).get("usage_type") != "licensed":
        raise ValidationFailed("No recurring price with this ID exists at Stripe.")
    return price


def register_price(plan_version: PlanVersion, price_id: str, actor: Actor, *, reason: str = "") -> PlanPrice:
    """Map a price that was created at Stripe to a plan version, and sync the customers who subscribed to it.

    Raises `ValidationFailed` if the price cannot be registered.
    """
    price = require_registrable_price(price_id)
    with transaction.atomic():
        row, _ = _register(plan_version, price)
        after = {"plan": str(plan_version)}
        record("billing.price_registered", organization=None, actor=actor, target=f"price:{price_id}", after=after, reason=reason)
        for customer_id in read.customers_with_price(price_id):
            enqueue.sync(customer_id)
    return row


def sellable_price(plan: str, interval: str, version: int | None = None) -> PlanPrice:
    """Return the price for new purchases of a plan's latest (or given) version. A price id in the environment has precedence.

    Raises `PlanNotSold`, or `BillingNotConfigured` if the catalog was not published to Stripe.
    """
    plan_version = _version(plan, interval, version)
    price_id = named_prices.configured_price_id(plan, interval) if version is None else ""
    if price_id:
        return register_named_price(plan_version, interval, price_id)
    row = PlanPrice.objects.filter(plan_version=plan_version, interval=interval, current=True).first()
    if row is None:
        raise ServerMisconfigured("The catalog has not been published to the payment provider. Run `manage.py publish_catalog`.")
    return row


def _version(plan: str, interval: str, version: int | None) -> PlanVersion:
    try:
        plan_version = EntitlementsManager.version(plan, version)
    except UnknownPlan as error:
        names = [each.name for each in CATALOG.plans if each.prices]
        raise PlanNotSold(errors=[{"field": "planTier", "message": f"Choose one of: {', '.join(names)}."}]) from error
    if plan_version.terms.price(interval) is None:
        raise PlanNotSold(
            errors=[{"field": "planTier", "message": f"The plan {plan} is not billed {named_prices.billing_frequency(interval)}."}]
        )
    return plan_version


def sells_overage(plan_version: PlanVersion) -> bool:
    """Return whether the plan version offers overage, regardless of the organization's current entitlements."""
    return PlanPrice.objects.filter(plan_version=plan_version, interval=PlanPrice.OVERAGE).exists()


def overage_price(plan_version: PlanVersion, feature: str) -> PlanPrice | None:
    """Return the metered price of a feature's overage; None if it was not published."""
    return PlanPrice.objects.filter(plan_version=plan_version, interval=PlanPrice.OVERAGE, feature=feature, current=True).first()


def register_named_price(plan_version: PlanVersion, interval: str, price_id: str) -> PlanPrice:
    """Make a price id from the environment the current price of a plan version. The price is fetched from Stripe once.

    Raises `BillingNotConfigured` if the price does not match the catalog, or has subscribers of another plan version.
    """
    row = PlanPrice.objects.filter(stripe_price_id=price_id).first()
    catalog_price = plan_version.terms.price(interval)
    terms = (plan_version.pk, interval, catalog_price and catalog_price.amount, catalog_price and catalog_price.currency)
    if row is not None and (row.plan_version_id, row.interval, row.amount, row.currency) == terms:
        return row if row.current else replace_current(row)
    if conflict := conflicting_use(price_id, plan_version.plan, plan_version.version, interval):
        raise ServerMisconfigured(f"The price ID for {plan_version} ({named_prices.billing_frequency(interval)}) {conflict}.")
    price = catalog.price(price_id)
    if reason := named_prices.find_mismatch(plan_version.terms, interval, price):
        raise ServerMisconfigured(f"{named_prices.setting_name(plan_version.plan, interval)} is set to {price_id}, which {reason}.")
    assert price is not None
    return replace_current(
        PlanPrice(
            pk=row.pk if row else None,
            plan_version=plan_version,
            interval=interval,
            stripe_price_id=price_id,
            stripe_product_id=reference_id(price["product"]),
            lookup_key=price.get("lookup_key") or "",
            amount=price["unit_amount"],
            currency=price["currency"],
        )
    )


def conflicting_use(price_id: str, plan: str, version: int, interval: str) -> str:
    """Return a message if the price already has subscribers of another plan version or interval; empty otherwise.

    Those subscribers keep the plan version that they bought, so the price cannot be mapped to a second one.
    """
    row = PlanPrice.objects.select_related("plan_version").filter(stripe_price_id=price_id).first()
    if row is None or (row.plan_version.plan, row.plan_version.version, row.interval) == (plan, version, interval):
        return ""
    has_subscribers = SubscriptionState.objects.filter(stripe_price_id=price_id).exists()
    if not has_subscribers:
        return ""
    return f"already has subscribers on {row.plan_version} ({named_prices.billing_frequency(row.interval)}). Configure a different price"


def replace_current(row: PlanPrice) -> PlanPrice:
    """Make `row` the current price for new purchases. Subscribers of earlier prices keep them."""
    others = PlanPrice.objects.filter(plan_version=row.plan_version, interval=row.interval, feature=row.feature)
    others.exclude(pk=row.pk).update(current=False)
    row.current = True
    row.save()
    return row


def unregistered(price_ids: Iterable[str]) -> list[str]:
    """Return the price ids that are not registered here, sorted."""
    ids = {each for each in price_ids if each}
    return sorted(ids - set(PlanPrice.objects.filter(stripe_price_id__in=ids).values_list("stripe_price_id", flat=True)))
