"""Publishing the catalog: difference, publication, repetition."""

import pytest

from accounts.models import AuditEvent
from entitlements.catalog import CATALOG
from entitlements.catalog_schema import FeatureValue
from entitlements.errors import PublishedVersionChanged
from entitlements.manager import EntitlementsManager
from entitlements.models import PlanVersion
from entitlements.publish import plan_publish, publish
from entitlements.types import Kind
from tests.factories.entitlements import PlanVersionFactory, next_catalog

MORE = next_catalog(sessions=FeatureValue(Kind.QUOTA, 2000))


def test_repeated_publishing_changes_nothing(db):
    assert [change.state for change in plan_publish()] == ["new"] * 3
    assert not PlanVersion.objects.exists()
    publish()
    assert [change.state for change in publish()] == ["published"] * 3
    assert sorted(map(str, PlanVersion.objects.all())) == ["enterprise v1", "free v1", "pro v1"]
    assert AuditEvent.objects.filter(action="plan.published").count() == 3


def test_the_difference_lists_the_changed_fields(db):
    publish()
    change = next(change for change in plan_publish(MORE) if change.plan == "pro")
    assert change.state == "new"
    assert change.fields["version"] == (1, 2)
    assert change.fields["features.sessions.value"] == (1000, 2000)
    assert change.fields["features.sessions.overage"] == ({"unit_amount": 2, "currency": "usd"}, None)


def test_existing_grants_keep_their_version(acme):
    manager = EntitlementsManager(acme)
    manager.grant("pro", "subscription")
    publish(catalog=MORE)
    assert manager.require("sessions").limit == 1000
    assert [plan.version for plan in manager.plans()] == [1, 2, 1]
    manager.replace_grants("subscription", [])
    manager.grant("pro", "subscription")
    assert manager.require("sessions").limit == 2000


def test_changed_published_version_is_refused_and_nothing_is_published(db):
    document = CATALOG.plan("enterprise").document() | {"title": "Grand"}
    PlanVersionFactory(plan="enterprise", version=1, document=document)
    assert {change.plan: change.state for change in plan_publish()}["enterprise"] == "conflict"
    with pytest.raises(PublishedVersionChanged) as refusal:
        publish()
    assert refusal.value.details == {"plan": "enterprise", "version": 1, "fields": ["title"]}
    assert PlanVersion.objects.count() == 1


def test_an_older_release_does_not_replace_a_newer_version(db):
    PlanVersionFactory(version=2)
    assert {change.plan: change.state for change in publish()} == {"free": "new", "pro": "behind", "enterprise": "new"}
    assert EntitlementsManager.version("pro").version == 2
