"""Response schemas of the entitlements endpoints."""

from typing import Any

from rest_framework import serializers

from contextmcp.common.api import Schema
from entitlements.catalog import CATALOG
from entitlements.catalog_schema import Plan
from entitlements.types import Entitlements, FeatureEntitlement, Kind, Source

KINDS = [kind.value for kind in Kind]


class PriceSchema(Schema):
    """A price of a plan."""

    interval = serializers.ChoiceField(["month", "year"], help_text="Billing interval.")
    amount = serializers.IntegerField(help_text="Price per interval, in minor units of the currency.")
    currency = serializers.CharField(help_text="Three-letter currency code (ISO 4217), in lowercase.")


class OveragePriceSchema(Schema):
    """The price of usage beyond a limit."""

    unit_amount = serializers.IntegerField(help_text="Price of one unit beyond the limit, in minor units of the currency.")
    currency = serializers.CharField(help_text="Three-letter currency code (ISO 4217), in lowercase.")


class PlanFeatureSchema(Schema):
    """What a plan includes of a feature."""

    feature = serializers.CharField(help_text="Name of the feature.")
    title = serializers.CharField(help_text="Display name of the feature.")
    kind = serializers.ChoiceField(KINDS, help_text="Type of the feature.")
    included = serializers.BooleanField(help_text="Whether the plan includes the feature.")
    limit = serializers.IntegerField(allow_null=True, help_text="Units included. Null for boolean features and for unlimited features.")
    overage = OveragePriceSchema(allow_null=True, help_text="Price of usage beyond the limit. null if the plan does not offer overage.")


class PlanSchema(Schema):
    """A plan."""

    plan = serializers.CharField(help_text="Name of the plan.")
    version = serializers.IntegerField(help_text="Version of the plan that new subscriptions get.")
    title = serializers.CharField(help_text="Display name of the plan.")
    summary = serializers.CharField(help_text="Short description of the plan.")
    trial_days = serializers.IntegerField(help_text="Length of the trial in days. 0: there is no trial.")
    prices = PriceSchema(many=True, help_text="Prices of the plan, one for each interval. Empty if the plan is free or not sold online.")
    features = PlanFeatureSchema(many=True, help_text="All features of the catalog, with the plan's value for each.")


class PlansSchema(Schema):
    """A list of plans."""

    data = PlanSchema(many=True, help_text="Plans that are offered, in the order of the pricing page.")  # type: ignore[assignment]


class FeatureEntitlementSchema(Schema):
    """The entitlement to one feature."""

    kind = serializers.ChoiceField(KINDS, help_text="Type of the feature.")
    enabled = serializers.BooleanField(help_text="Whether the organization has the feature.")
    limit = serializers.IntegerField(allow_null=True, help_text="Units included. Null for boolean features and for unlimited features.")
    overridden = serializers.BooleanField(help_text="Whether an override replaces the plan's value for this organization.")
    overage = OveragePriceSchema(allow_null=True, help_text="Price of usage beyond the limit. null if the plan does not offer overage.")
    failure_mode = serializers.ChoiceField(
        ["fail_closed", "fail_open"],
        help_text="Whether calls are refused (fail_closed) or allowed (fail_open) while the database is unavailable.",
    )


class EntitlementsSchema(Schema):
    """The entitlements of an organization."""

    organization_id = serializers.UUIDField(help_text="ID of the organization.")
    active = serializers.BooleanField(help_text="False if the organization is closed.")
    plan = serializers.CharField(help_text="Name of the plan.")
    plan_version = serializers.IntegerField(help_text="Version of the plan.")
    plan_title = serializers.CharField(help_text="Display name of the plan.")
    source = serializers.ChoiceField(
        [source.value for source in Source], help_text="Where the plan comes from. `free` applies without a subscription or grant."
    )  # type: ignore[assignment]
    anchor = serializers.DateTimeField(help_text="Usage months are counted from this time.")
    changes_at = serializers.DateTimeField(allow_null=True, help_text="When the entitlements will change next, if a change is scheduled.")
    lapsed_plan = serializers.CharField(allow_null=True, help_text="The plan that lapsed because a payment failed.")
    features = serializers.DictField(child=FeatureEntitlementSchema(), help_text="Entitlements by feature name.")


class EntitlementsTokenSchema(Schema):
    """The entitlements as a signed document."""

    token = serializers.CharField(
        help_text="JWT (RFC 7519), signed with Ed25519. The key with its `kid` is published at `/.well-known/jwks.json`."
    )
    expires_at = serializers.DateTimeField(help_text="When the token expires. Request a new one before then.")
    grace_until = serializers.DateTimeField(
        help_text="End of the grace period: until then, software that cannot reach this server may use the expired token."
    )


def plan_data(plan: Plan) -> dict[str, Any]:
    """Return the values of `PlanSchema` for a plan."""
    return {
        "plan": plan.name,
        "version": plan.version,
        "title": plan.title,
        "summary": plan.summary,
        "trial_days": plan.trial_days,
        "prices": [{"interval": price.interval, "amount": price.amount, "currency": price.currency} for price in plan.prices],
        "features": [_feature_data(plan, name) for name in dict.fromkeys([*(one.name for one in CATALOG.features), *plan.features])],
    }


def _feature_data(plan: Plan, name: str) -> dict[str, Any]:
    term, declared = plan.features.get(name), CATALOG.feature(name)
    kind = declared.kind if declared else plan.features[name].kind
    limit = 0 if term is None else term.value
    overage = term.overage if term else None
    return {
        "feature": name,
        "title": declared.title if declared else name,
        "kind": kind.value,
        "included": plan.grants(name),
        "limit": None if kind is Kind.BOOLEAN else limit,
        "overage": {"unit_amount": overage.unit_amount, "currency": overage.currency} if overage else None,
    }


def entitlements_data(entitlements: Entitlements) -> dict[str, Any]:
    """Return the values of `EntitlementsSchema` for an organization's entitlements."""
    return {
        "organization_id": entitlements.organization_id,
        "active": entitlements.active,
        "plan": entitlements.plan,
        "plan_version": entitlements.plan_version,
        "plan_title": entitlements.plan_title,
        "source": entitlements.source.value,
        "anchor": entitlements.anchor,
        "changes_at": entitlements.changes_at,
        "lapsed_plan": entitlements.lapsed_plan,
        "features": {name: _allowance_data(one) for name, one in entitlements.features.items()},
    }


def _allowance_data(entitlement: FeatureEntitlement) -> dict[str, Any]:
    offers_overage = entitlement.overage_unit_amount is not None
    return {
        "kind": entitlement.kind.value,
        "enabled": entitlement.enabled,
        "limit": entitlement.limit,
        "overridden": entitlement.overridden,
        "overage": {"unit_amount": entitlement.overage_unit_amount, "currency": entitlement.overage_currency} if offers_overage else None,
        "failure_mode": entitlement.failure_mode,
    }
