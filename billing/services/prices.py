"""Which price is asked for which plan, and which plan a price stands for."""

from collections.abc import Iterable
from typing import Any

from django.conf import settings

from billing.errors import BillingNotConfigured, PlanNotSold
from billing.gateway import catalog
from billing.models import PlanPrice, SubscriptionState
from entitlements.catalog import CATALOG
from entitlements.errors import UnknownPlan
from entitlements.manager import EntitlementsManager
from entitlements.models import PlanVersion

from .projection import Document, KnownPrice, is_ours


def known() -> dict[str, KnownPrice]:
    """Every price that stands for something here, by its id at Stripe."""
    columns = ("stripe_price_id", "plan_version_id", "plan_version__plan", "plan_version__version", "interval", "amount")
    return {price: KnownPrice(*fields) for price, *fields in PlanPrice.objects.values_list(*columns)}


def ours(documents: Iterable[Document]) -> list[dict[str, Any]]:
    """Return those of Stripe's subscriptions that are for a plan of this product, in the same order."""
    prices = known()
    products = set(PlanPrice.objects.exclude(stripe_product_id="").values_list("stripe_product_id", flat=True))
    return [dict(each) for each in documents if is_ours(each, prices, products)]


def for_sale(plan: str, interval: str, version: int | None = None) -> PlanPrice:
    """The price to ask for a plan's newest (or given) version. One named in the environment wins over the published one.

    Raises `PlanNotSold`, or `BillingNotConfigured` where the catalogue was not published to Stripe.
    """
    plan_version = _version(plan, interval, version)
    named = settings.STRIPE_PRICE_IDS.get((plan, interval)) if version is None else None
    if named:
        return adopt(plan_version, interval, named)
    row = PlanPrice.objects.filter(plan_version=plan_version, interval=interval, current=True).first()
    if row is None:
        raise BillingNotConfigured("The plans have no prices at the payment provider yet: run manage.py publish_catalog.")
    return row


def _version(plan: str, interval: str, version: int | None) -> PlanVersion:
    try:
        found = EntitlementsManager.version(plan, version)
    except UnknownPlan as error:
        sold = [each.name for each in CATALOG.plans if each.prices]
        raise PlanNotSold(errors=[{"field": "planTier", "message": f"Choose one of: {', '.join(sold)}."}]) from error
    if found.terms.price(interval) is None:
        raise PlanNotSold(errors=[{"field": "planTier", "message": f"The plan {plan} has no price by the {interval}."}])
    return found


def sells_overage(plan_version: PlanVersion) -> bool:
    """Whether the plan sells anything beyond its allowance, whatever the organization is entitled to at the moment."""
    return PlanPrice.objects.filter(plan_version=plan_version, interval=PlanPrice.OVERAGE).exists()


def overage(plan_version: PlanVersion, feature: str) -> PlanPrice | None:
    """The metered price of what goes beyond the allowance."""
    return PlanPrice.objects.filter(plan_version=plan_version, interval=PlanPrice.OVERAGE, feature=feature, current=True).first()


def adopt(plan_version: PlanVersion, interval: str, price_id: str) -> PlanPrice:
    """A price made elsewhere stands for this plan version from now on. It is looked up at Stripe once.

    Raises `BillingNotConfigured` where it is no such price, or has subscribers who bought something else with it.
    """
    row = PlanPrice.objects.filter(stripe_price_id=price_id).first()
    if row is not None and row.plan_version_id == plan_version.pk and row.interval == interval:
        return row if row.current else replace_current(row)
    if taken := bought_as(price_id, plan_version.plan, plan_version.version, interval):
        raise BillingNotConfigured(f"The price id configured for {plan_version} by the {interval} {taken}.")
    price = catalog.price(price_id)
    if price is None or (price.get("recurring") or {}).get("interval") != interval:
        raise BillingNotConfigured(
            f"The price id configured for {plan_version.plan} by the {interval} is not such a price at the payment provider."
        )
    return replace_current(
        PlanPrice(
            pk=row.pk if row else None,
            plan_version=plan_version,
            interval=interval,
            stripe_price_id=price_id,
            stripe_product_id=price["product"],
            lookup_key=price.get("lookup_key") or "",
            amount=price["unit_amount"] or 0,
            currency=price["currency"],
        )
    )


def bought_as(price_id: str, plan: str, version: int, interval: str) -> str:
    """What else a price was bought as, if it was: its subscribers keep what they bought, so it cannot stand for this as well."""
    row = PlanPrice.objects.select_related("plan_version").filter(stripe_price_id=price_id).first()
    if row is None or (row.plan_version.plan, row.plan_version.version, row.interval) == (plan, version, interval):
        return ""
    bought = SubscriptionState.objects.filter(stripe_price_id=price_id).exists()
    return f"was bought as {row.plan_version} by the {row.interval}: make another one" if bought else ""


def replace_current(row: PlanPrice) -> PlanPrice:
    """Make `row` the price that is asked from now on; those before it keep their subscribers."""
    others = PlanPrice.objects.filter(plan_version=row.plan_version, interval=row.interval, feature=row.feature)
    others.exclude(pk=row.pk).update(current=False)
    row.current = True
    row.save()
    return row


def unknown(price_ids: Iterable[str]) -> list[str]:
    """Those that stand for nothing here."""
    wanted = {each for each in price_ids if each}
    return sorted(wanted - set(PlanPrice.objects.filter(stripe_price_id__in=wanted).values_list("stripe_price_id", flat=True)))
