"""Factories of plan versions, grants and overrides."""

import factory
import msgspec
from django.utils import timezone

from entitlements.catalog import CATALOG, current
from entitlements.catalog_schema import Catalog, FeatureValue
from entitlements.manager import EntitlementsManager
from entitlements.models import Grant, Override, PlanVersion
from tests.factories.accounts import OrganizationFactory


class PlanVersionFactory(factory.django.DjangoModelFactory[PlanVersion]):
    """Return the next version of Pro as a later release might publish it."""

    class Meta:
        model = PlanVersion

    plan = "pro"
    version = 2
    document = factory.LazyAttribute(lambda row: msgspec.structs.replace(current(row.plan), version=row.version).document())


class GrantFactory(factory.django.DjangoModelFactory[Grant]):
    class Meta:
        model = Grant

    organization = factory.SubFactory(OrganizationFactory)
    plan_version = factory.LazyFunction(lambda: EntitlementsManager.version("pro"))
    source = "subscription"
    starts_at = factory.LazyFunction(timezone.now)
    anchor = factory.SelfAttribute("starts_at")


class OverrideFactory(factory.django.DjangoModelFactory[Override]):
    class Meta:
        model = Override

    organization = factory.SubFactory(OrganizationFactory)
    feature = "sessions"
    value = 5
    reason = "A promise"


def next_catalog(**terms: FeatureValue) -> Catalog:
    """Publish a catalog with a version 2 of Pro that has other terms."""
    pro = current("pro")
    following = msgspec.structs.replace(pro, version=2, features={**pro.features, **terms})
    return Catalog(CATALOG.features, tuple(following if plan.name == "pro" else plan for plan in CATALOG.plans))
