"""Publishes the catalog: plan versions to the database, and products, prices and meters to Stripe. Safe to repeat."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts.audit import record
from accounts.models import User
from billing.models import PlanPrice
from billing.stripe.gateway import catalog as gateway
from billing.stripe.gateway.client import is_configured
from billing.stripe.mirror import store
from entitlements.catalog import CATALOG, Catalog, FeatureValue, Plan
from entitlements.manager import EntitlementsManager
from entitlements.models import PlanVersion
from entitlements.services import publish as versions

from . import named_prices, prices

METER_PREFIX = "contextmcp"


@dataclass(frozen=True)
class PublishStep:
    """One published item and its state: "new", "changed", "same" or "conflict"."""

    what: str
    name: str
    state: str
    detail: str = ""

    def __str__(self) -> str:
        sign = {"new": "+", "changed": "~", "same": "=", "conflict": "!"}[self.state]
        return f"{sign} {self.what} {self.name}" + (f": {self.detail}" if self.detail else "")


def event_name(feature: str) -> str:
    """Return the meter event name of a feature's overage."""
    return f"{METER_PREFIX}_{feature}_overage"


def plan_publish(catalog: Catalog = CATALOG) -> list[PublishStep]:
    """Return the steps of `publish_catalog` without executing them. Reads Stripe if a key is configured."""
    return [*_versions(catalog), *(_Publisher(catalog, dry_run=True).run() if is_configured() else ())]


def publish_catalog(catalog: Catalog = CATALOG, *, actor: User | None = None, reason: str = "") -> list[PublishStep]:
    """Publish the catalog and return the executed steps. Without a Stripe key only the plan versions are published.

    With an `actor` (staff), one audit event for all steps is recorded in the transaction that publishes the plan versions. Raises
    `PublishedVersionChanged`, and the errors of calls to Stripe. Items that were published before an error stay published, and a repeated
    call publishes the others.
    """
    steps = _versions(catalog)
    if actor is None:
        versions.publish(catalog=catalog)
    else:
        intended = plan_publish(catalog)
        with transaction.atomic():
            before = _published()
            versions.publish(catalog=catalog, audited=False)
            after = {"versions": _published(), "steps": [str(step) for step in intended if step.state != "same"]}
            record("catalog.published", organization=None, actor=actor, before={"versions": before}, after=after, reason=reason)
    return [*steps, *(_Publisher(catalog, dry_run=False).run() if is_configured() else ())]


def _published() -> dict[str, int]:
    """Return the newest published version of each plan."""
    return {version.plan: version.version for version in PlanVersion.objects.newest()}


def _versions(catalog: Catalog) -> list[PublishStep]:
    states = {"new": "new", "published": "same", "behind": "same", "conflict": "conflict"}
    steps = []
    for change in versions.plan_publish(catalog):
        detail = "; ".join(f"{path}: {before!r} -> {after!r}" for path, (before, after) in change.fields.items())
        steps.append(
            PublishStep("plan version", f"{change.plan} v{change.version}", states[change.state], detail if change.state != "new" else "")
        )
    return steps


class _Publisher:
    """One pass over the catalog. With `dry_run` it only reads Stripe and yields the steps."""

    def __init__(self, catalog: Catalog, *, dry_run: bool) -> None:
        self.catalog = catalog
        self.dry_run = dry_run
        self.paid_plans = [plan for plan in catalog.plans if plan.prices]
        self.known = gateway.prices_by_lookup_key([key for plan in self.paid_plans for key in _lookup_keys(plan)])
        self.meters = {meter["event_name"]: meter for meter in gateway.meters() if meter["status"] == "active"}

    def run(self) -> Iterator[PublishStep]:
        for plan in self.paid_plans:
            yield self._product(_product_id(plan.name), f"{settings.PRODUCT_NAME} {plan.title}", plan.summary)
            for price in plan.prices:
                yield self._plan_price(plan, price.interval, price.amount, price.currency)
            for feature, term in _metered(plan):
                yield from self._overage(plan, feature, term)

    def _product(self, product_id: str, name: str, description: str) -> PublishStep:
        params = {"name": name} | ({"description": description} if description else {})
        product = gateway.product(product_id)
        if product is None:
            if not self.dry_run:
                store.write(gateway.create_product(product_id, key=_key("product", product_id, params), **params))
            return PublishStep("product", product_id, "new", name)
        different = {field: value for field, value in params.items() if product[field] != value}
        if not self.dry_run:
            if different:
                product = gateway.update_product(product_id, key=_key("product", product_id, params, product["updated"]), **params)
            store.write(product)
        return PublishStep("product", product_id, "changed" if different else "same", ", ".join(different))

    def _plan_price(self, plan: Plan, interval: str, amount: int, currency: str) -> PublishStep:
        price_id = named_prices.configured_price_id(plan.name, interval)
        if price_id:
            if conflict := prices.conflicting_use(price_id, plan.name, plan.version, interval):
                return PublishStep("price", f"{plan.name}/{interval}", "conflict", f"{price_id}, from the environment, {conflict}")
            if reason := named_prices.find_mismatch(plan, interval, gateway.price(price_id)):
                setting = named_prices.setting_name(plan.name, interval)
                return PublishStep("price", f"{plan.name}/{interval}", "conflict", f"{setting} is set to {price_id}, which {reason}")
            if not self.dry_run:
                prices.register_named_price(self._version(plan), interval, price_id)
            return PublishStep("price", f"{plan.name}/{interval}", "same", f"{price_id}, from the environment")
        return self._price(
            plan,
            interval,
            feature="",
            lookup_key=_lookup_key(plan.name, interval),
            params={
                "product": _product_id(plan.name),
                "unit_amount": amount,
                "currency": currency,
                "recurring": {"interval": interval},
            },
        )

    def _overage(self, plan: Plan, feature: str, term: FeatureValue) -> Iterator[PublishStep]:
        assert term.overage is not None
        declared = self.catalog.feature(feature)
        title = declared.title if declared else feature
        yield self._product(_product_id(f"{feature}_overage"), f"{settings.PRODUCT_NAME} additional {self.catalog.noun(feature)}", "")
        name = event_name(feature)
        if name not in self.meters:
            params = {
                "display_name": f"{title} beyond the allowance",
                "event_name": name,
                "default_aggregation": {"formula": "sum"},
                "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
                "value_settings": {"event_payload_key": "value"},
            }
            yield PublishStep("meter", name, "new")
            self.meters[name] = {"id": ""} if self.dry_run else gateway.create_meter(key=_key("meter", name, params), **params)
        else:
            yield PublishStep("meter", name, "same")
        yield self._price(
            plan,
            PlanPrice.OVERAGE,
            feature=feature,
            lookup_key=f"contextmcp_{plan.name}_{feature}_overage",
            params={
                "product": _product_id(f"{feature}_overage"),
                "unit_amount": term.overage.unit_amount,
                "currency": term.overage.currency,
                "recurring": {"interval": "month", "usage_type": "metered", "meter": self.meters[name]["id"]},
            },
        )

    def _price(self, plan: Plan, interval: str, *, feature: str, lookup_key: str, params: dict[str, Any]) -> PublishStep:
        """Publish one price. Stripe prices are immutable: a new version or amount creates a price that takes over the lookup key."""
        price = self.known.get(lookup_key)
        name = f"{plan.name}/{feature or interval}"
        same = price is not None and _matches(price, plan, params)
        if not self.dry_run:
            if not same:
                price = gateway.create_price(
                    key=_key("price", lookup_key, params | {"version": plan.version}),
                    lookup_key=lookup_key,
                    transfer_lookup_key=True,
                    metadata={"plan": plan.name, "version": str(plan.version)},
                    **params,
                )
            assert price is not None
            store.write(price)
            self._archive_others(plan, interval, feature, price)
        return PublishStep(
            "price",
            name,
            "same" if same else "changed" if price and self.dry_run else "new",
            f"{params['unit_amount']} {params['currency']}",
        )

    def _archive_others(self, plan: Plan, interval: str, feature: str, price: dict[str, Any]) -> None:
        row = PlanPrice.objects.filter(stripe_price_id=price["id"]).first() or PlanPrice(stripe_price_id=price["id"])
        row.plan_version = self._version(plan)
        row.interval, row.feature = interval, feature
        row.stripe_product_id, row.lookup_key = price["product"], price["lookup_key"] or ""
        row.amount, row.currency = price["unit_amount"], price["currency"]
        prices.replace_current(row)

    def _version(self, plan: Plan) -> PlanVersion:
        return EntitlementsManager.version(plan.name, plan.version)


def _metered(plan: Plan) -> list[tuple[str, FeatureValue]]:
    return [(name, term) for name, term in plan.features.items() if term.overage]


def _product_id(name: str) -> str:
    return f"contextmcp_{name}"


def _lookup_key(plan: str, interval: str) -> str:
    return f"contextmcp_{plan}_{interval}"


def _lookup_keys(plan: Plan) -> list[str]:
    return [
        *(_lookup_key(plan.name, price.interval) for price in plan.prices),
        *(f"contextmcp_{plan.name}_{feature}_overage" for feature, _ in _metered(plan)),
    ]


def _matches(price: dict[str, Any], plan: Plan, params: dict[str, Any]) -> bool:
    recurring = price.get("recurring") or {}
    return (
        price["active"]
        and price["product"] == params["product"]
        and price["unit_amount"] == params["unit_amount"]
        and price["currency"] == params["currency"]
        and price["metadata"].get("version") == str(plan.version)
        and all(recurring.get(name) == value for name, value in params["recurring"].items())
    )


def _key(kind: str, name: str, params: dict[str, Any], *rest: object) -> str:
    """Return an idempotency key derived from the request: the committed catalog determines it, so no row has to be stored first."""
    text = json.dumps([params, *rest], sort_keys=True)
    return f"publish-{kind}-{name}-{hashlib.sha256(text.encode()).hexdigest()[:20]}"
