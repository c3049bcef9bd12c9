"""Publishing the catalogue: plan versions here, and products, prices and meters at Stripe. Safe to repeat."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from billing.gateway import catalog as gateway
from billing.gateway.client import is_configured
from billing.mirror import store
from billing.models import PlanPrice
from entitlements.catalog import CATALOG, Catalog, Plan, Term
from entitlements.manager import EntitlementsManager
from entitlements.models import PlanVersion
from entitlements.services import publish as versions

from . import prices

METER_PREFIX = "contextmcp"


@dataclass(frozen=True)
class Step:
    """One thing that publishing does or finds done. `state` is "new", "changed", "same" or "conflict"."""

    what: str
    name: str
    state: str
    detail: str = ""

    def __str__(self) -> str:
        sign = {"new": "+", "changed": "~", "same": "=", "conflict": "!"}[self.state]
        return f"{sign} {self.what} {self.name}" + (f": {self.detail}" if self.detail else "")


def event_name(feature: str) -> str:
    """The name that overage of a feature is reported under."""
    return f"{METER_PREFIX}_{feature}_overage"


def difference(catalog: Catalog = CATALOG) -> list[Step]:
    """What `publish` would do. Reads Stripe, where there is a key, and changes nothing."""
    return [*_versions(catalog), *(_Publisher(catalog, dry_run=True).run() if is_configured() else ())]


def publish(catalog: Catalog = CATALOG) -> list[Step]:
    """Do it. Without a Stripe key only the plan versions are published."""
    steps = _versions(catalog)
    versions.publish(catalog=catalog)
    return [*steps, *(_Publisher(catalog, dry_run=False).run() if is_configured() else ())]


def _versions(catalog: Catalog) -> list[Step]:
    states = {"new": "new", "published": "same", "behind": "same", "conflict": "conflict"}
    found = []
    for change in versions.difference(catalog):
        detail = "; ".join(f"{path}: {before!r} -> {after!r}" for path, (before, after) in change.fields.items())
        found.append(
            Step("plan version", f"{change.plan} v{change.version}", states[change.state], detail if change.state != "new" else "")
        )
    return found


class _Publisher:
    """One pass over the catalogue. With `dry_run` it looks and tells, no more."""

    def __init__(self, catalog: Catalog, *, dry_run: bool) -> None:
        self.catalog = catalog
        self.dry_run = dry_run
        self.sold = [plan for plan in catalog.plans if plan.prices]
        self.known = gateway.prices_by_lookup_key([key for plan in self.sold for key in _lookup_keys(plan)])
        self.meters = {meter["event_name"]: meter for meter in gateway.meters() if meter["status"] == "active"}

    def run(self) -> Iterator[Step]:
        for plan in self.sold:
            yield self._product(_product_id(plan.name), f"ContextMCP {plan.title}", plan.summary)
            for price in plan.prices:
                yield self._plan_price(plan, price.interval, price.amount, price.currency)
            for feature, term in _metered(plan):
                yield from self._overage(plan, feature, term)

    def _product(self, product_id: str, name: str, description: str) -> Step:
        wanted = {"name": name} | ({"description": description} if description else {})
        found = gateway.product(product_id)
        if found is None:
            if not self.dry_run:
                store.write(gateway.create_product(product_id, key=_key("product", product_id, wanted), **wanted))
            return Step("product", product_id, "new", name)
        different = {field: value for field, value in wanted.items() if found[field] != value}
        if not self.dry_run:
            if different:
                found = gateway.update_product(product_id, key=_key("product", product_id, wanted, found["updated"]), **wanted)
            store.write(found)
        return Step("product", product_id, "changed" if different else "same", ", ".join(different))

    def _plan_price(self, plan: Plan, interval: str, amount: int, currency: str) -> Step:
        named = settings.STRIPE_PRICE_IDS.get((plan.name, interval))
        if named:
            if taken := prices.bought_as(named, plan.name, plan.version, interval):
                return Step("price", f"{plan.name}/{interval}", "conflict", f"{named}, from the environment, {taken}")
            if not self.dry_run:
                prices.adopt(self._version(plan), interval, named)
            return Step("price", f"{plan.name}/{interval}", "same", f"{named}, from the environment")
        return self._price(
            plan,
            interval,
            feature="",
            lookup_key=_lookup_key(plan.name, interval),
            wanted={
                "product": _product_id(plan.name),
                "unit_amount": amount,
                "currency": currency,
                "recurring": {"interval": interval},
            },
        )

    def _overage(self, plan: Plan, feature: str, term: Term) -> Iterator[Step]:
        assert term.overage is not None
        title = next((each.title for each in self.catalog.features if each.name == feature), feature)
        yield self._product(_product_id(f"{feature}_overage"), f"ContextMCP additional {title.lower()}", "")
        name = event_name(feature)
        if name not in self.meters:
            wanted = {
                "display_name": f"{title} beyond the allowance",
                "event_name": name,
                "default_aggregation": {"formula": "sum"},
                "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
                "value_settings": {"event_payload_key": "value"},
            }
            yield Step("meter", name, "new")
            self.meters[name] = {"id": ""} if self.dry_run else gateway.create_meter(key=_key("meter", name, wanted), **wanted)
        else:
            yield Step("meter", name, "same")
        yield self._price(
            plan,
            PlanPrice.OVERAGE,
            feature=feature,
            lookup_key=f"contextmcp_{plan.name}_{feature}_overage",
            wanted={
                "product": _product_id(f"{feature}_overage"),
                "unit_amount": term.overage.unit_amount,
                "currency": term.overage.currency,
                "recurring": {"interval": "month", "usage_type": "metered", "meter": self.meters[name]["id"]},
            },
        )

    def _price(self, plan: Plan, interval: str, *, feature: str, lookup_key: str, wanted: dict[str, Any]) -> Step:
        """A price never changes: another version or amount is another price, which takes the lookup key over."""
        found = self.known.get(lookup_key)
        name = f"{plan.name}/{feature or interval}"
        same = found is not None and _stands_for(found, plan, wanted)
        if not self.dry_run:
            if not same:
                found = gateway.create_price(
                    key=_key("price", lookup_key, wanted | {"version": plan.version}),
                    lookup_key=lookup_key,
                    transfer_lookup_key=True,
                    metadata={"plan": plan.name, "version": str(plan.version)},
                    **wanted,
                )
            assert found is not None
            store.write(found)
            self._keep(plan, interval, feature, found)
        return Step(
            "price",
            name,
            "same" if same else "changed" if found and self.dry_run else "new",
            f"{wanted['unit_amount']} {wanted['currency']}",
        )

    def _keep(self, plan: Plan, interval: str, feature: str, price: dict[str, Any]) -> None:
        row = PlanPrice.objects.filter(stripe_price_id=price["id"]).first() or PlanPrice(stripe_price_id=price["id"])
        row.plan_version = self._version(plan)
        row.interval, row.feature = interval, feature
        row.stripe_product_id, row.lookup_key = price["product"], price["lookup_key"] or ""
        row.amount, row.currency = price["unit_amount"], price["currency"]
        prices.replace_current(row)

    def _version(self, plan: Plan) -> PlanVersion:
        return EntitlementsManager.version(plan.name, plan.version)


def _metered(plan: Plan) -> list[tuple[str, Term]]:
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


def _stands_for(price: dict[str, Any], plan: Plan, wanted: dict[str, Any]) -> bool:
    recurring = price.get("recurring") or {}
    return (
        price["active"]
        and price["product"] == wanted["product"]
        and price["unit_amount"] == wanted["unit_amount"]
        and price["currency"] == wanted["currency"]
        and price["metadata"].get("version") == str(plan.version)
        and all(recurring.get(name) == value for name, value in wanted["recurring"].items())
    )


def _key(kind: str, name: str, wanted: dict[str, Any], *rest: object) -> str:
    """What is made is named by the catalogue itself, which was published and committed first: so is the request."""
    meaning = json.dumps([wanted, *rest], sort_keys=True)
    return f"publish-{kind}-{name}-{hashlib.sha256(meaning.encode()).hexdigest()[:20]}"
