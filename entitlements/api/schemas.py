"""What the endpoints answer."""

from typing import Any

from rest_framework import serializers

from contextmcp.common.api import Schema
from entitlements.catalog import CATALOG
from entitlements.terms import Plan
from entitlements.types import Allowance, Entitlements, Kind, Source

KINDS = [kind.value for kind in Kind]


class PriceSchema(Schema):
    interval = serializers.ChoiceField(["month", "year"])
    amount = serializers.IntegerField(help_text="In minor units of the currency.")
    currency = serializers.CharField()


class OveragePriceSchema(Schema):
    unit_amount = serializers.IntegerField(help_text="What one unit over the limit costs, in minor units.")
    currency = serializers.CharField()


class PlanFeatureSchema(Schema):
    feature = serializers.CharField()
    title = serializers.CharField()
    kind = serializers.ChoiceField(KINDS)
    included = serializers.BooleanField()
    limit = serializers.IntegerField(allow_null=True, help_text="Null for a flag, and for what has no limit.")
    overage = OveragePriceSchema(allow_null=True)


class PlanSchema(Schema):
    plan = serializers.CharField()
    version = serializers.IntegerField()
    title = serializers.CharField()
    summary = serializers.CharField()
    trial_days = serializers.IntegerField()
    prices = PriceSchema(many=True)
    features = PlanFeatureSchema(many=True)


class PlansSchema(Schema):
    data = PlanSchema(many=True)  # type: ignore[assignment]


class AllowanceSchema(Schema):
    kind = serializers.ChoiceField(KINDS)
    enabled = serializers.BooleanField()
    limit = serializers.IntegerField(allow_null=True, help_text="Null for a flag, and for what has no limit.")
    overridden = serializers.BooleanField(help_text="Whether this organization has it differently from its plan.")
    overage = OveragePriceSchema(allow_null=True)
    on_outage = serializers.ChoiceField(["refuse", "allow"], help_text="What a call gets while the database cannot be reached.")


class EntitlementsSchema(Schema):
    organization_id = serializers.UUIDField()
    active = serializers.BooleanField(help_text="False once the organization is closed.")
    plan = serializers.CharField()
    plan_version = serializers.IntegerField()
    plan_title = serializers.CharField()
    source = serializers.ChoiceField([source.value for source in Source])  # type: ignore[assignment]
    anchor = serializers.DateTimeField(help_text="Monthly periods are counted from here.")
    changes_at = serializers.DateTimeField(allow_null=True, help_text="When this will be something else, as far as is known.")
    owing = serializers.CharField(allow_null=True, help_text="The plan that was lost for want of payment.")
    features = serializers.DictField(child=AllowanceSchema(), help_text="By feature name.")


def plan_data(plan: Plan) -> dict[str, Any]:
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
        "limit": None if kind is Kind.FLAG else limit,
        "overage": {"unit_amount": overage.unit_amount, "currency": overage.currency} if overage else None,
    }


def entitlements_data(entitlements: Entitlements) -> dict[str, Any]:
    return {
        "organization_id": entitlements.organization_id,
        "active": entitlements.active,
        "plan": entitlements.plan,
        "plan_version": entitlements.plan_version,
        "plan_title": entitlements.plan_title,
        "source": entitlements.source.value,
        "anchor": entitlements.anchor,
        "changes_at": entitlements.changes_at,
        "owing": entitlements.owing,
        "features": {name: _allowance_data(one) for name, one in entitlements.allowances.items()},
    }


def _allowance_data(allowance: Allowance) -> dict[str, Any]:
    sold = allowance.overage_unit_amount is not None
    return {
        "kind": allowance.kind.value,
        "enabled": allowance.enabled,
        "limit": allowance.limit,
        "overridden": allowance.overridden,
        "overage": {"unit_amount": allowance.overage_unit_amount, "currency": allowance.overage_currency} if sold else None,
        "on_outage": allowance.on_outage,
    }
