"""Factories of counters, gauges and overage settings, and a plan with overage."""

from datetime import datetime

import factory

from accounts.models import Organization
from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from entitlements.types import GrantSpec
from tests.factories.accounts import OrganizationFactory
from usage.models import OverageSetting, UsageCounter, UsageGauge


class UsageCounterFactory(factory.django.DjangoModelFactory):
    """Return a counter of the current period."""

    class Meta:
        model = UsageCounter

    class Params:
        period = factory.LazyAttribute(lambda row: EntitlementsManager(row.organization).require(row.feature).period(now(row.organization)))

    organization = factory.SubFactory(OrganizationFactory)
    feature = "sessions"
    period_start = factory.LazyAttribute(lambda row: row.period.start)
    period_end = factory.LazyAttribute(lambda row: row.period.end)


class UsageGaugeFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = UsageGauge

    organization = factory.SubFactory(OrganizationFactory)
    feature = "projects"


class OverageSettingFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = OverageSetting

    organization = factory.SubFactory(OrganizationFactory)
    feature = "sessions"
    enabled = True
    cap_minor = 100
    currency = "usd"


def subscribe(organization: Organization, plan: str = "pro", *, starts_at: datetime | None = None) -> None:
    """Return a subscription as billing's projection writes it."""
    EntitlementsManager(organization).replace_grants(
        "subscription", [GrantSpec(plan, reference="sub_1", starts_at=starts_at, anchor=starts_at)]
    )
