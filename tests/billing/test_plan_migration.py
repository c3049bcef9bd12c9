"""Plan versions: existing subscribers keep theirs until staff migrate them."""

from dataclasses import replace
from io import StringIO

import msgspec
import pytest
from django.core.management import CommandError, call_command

from accounts.models import AuditEvent, User
from billing.catalog import publish
from billing.models import Invoice
from billing.subscriptions import plan_migration
from entitlements import catalog
from entitlements.catalog_schema import Price
from entitlements.manager import EntitlementsManager
from tests.factories.billing import Payer, price_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def version_two(stripe_world):
    """Publish a second version of Pro: $12, and 20 projects."""

    def make():
        pro = catalog.CATALOG.plan("pro")
        features = dict(pro.features)
        features["projects"] = msgspec.structs.replace(features["projects"], value=20)
        newer = msgspec.structs.replace(
            pro, version=2, prices=(Price("month", 1200, "usd"), Price("year", 12000, "usd")), features=features
        )
        plans = tuple(newer if plan.name == "pro" else plan for plan in catalog.CATALOG.plans)
        more = dict(catalog.CATALOG.plan("enterprise").features)
        assert more["projects"].value is None
        publish.publish_catalog(msgspec.structs.replace(catalog.CATALOG, plans=plans))
        stripe_world.deliver()

    return make


def command(*args: str) -> str:
    out = StringIO()
    call_command("migrate_plan_version", *args, stdout=out)
    return out.getvalue()


def limit(organization, feature="projects"):
    organization.refresh_from_db()
    return EntitlementsManager(organization).entitlements().features[feature].limit


def test_existing_subscribers_keep_their_version(payer, acme, stranger, version_two):
    payer.buy()
    old = price_of()
    version_two()
    assert price_of() != old
    assert limit(acme) == 10
    payer.later(31.2)
    assert limit(acme) == 10
    assert Invoice.objects.filter(organization=acme).latest("created_at").total == 900
    newcomer = Payer.make(payer.world, stranger.organization)
    newcomer.buy()
    assert limit(stranger.organization) == 20


def test_the_command_lists_changes_and_migrates(payer, acme, version_two):
    payer.buy()
    version_two()
    result = command("pro", "--dry-run")
    assert "Acme: pro v1 -> pro v2, $9.00 -> $12.00 per month; projects: 10 -> 20" in result
    assert limit(acme) == 10
    assert "Moved 1 of 1" in command("pro", "--to", "2", "--organization", acme.slug)
    assert limit(acme) == 20
    assert Invoice.objects.count() == 1
    payer.later(31.2)
    assert Invoice.objects.latest("created_at").total == 1200
    assert "Moved 0 of 0" in command("pro")


def test_the_metered_item_is_migrated(payer, acme, api, owner, version_two):
    payer.buy()
    api.put("/api/billing/overage", {"enabled": True, "cap": 100}, by=owner)
    payer.world.deliver()
    version_two()
    command("pro")
    items = payer.world.sdk.subscriptions.retrieve(payer.state.stripe_subscription_id)["items"].data
    assert {item.price.id for item in items} == {price_of(), price_of("pro", "overage")}


def test_past_due_and_changing_subscribers_are_not_migrated(payer, acme, api, owner, version_two):
    payer.buy("pro", "year")
    api.post("/api/billing/change-plan", {"planTier": "pro", "interval": "month"}, by=owner)
    version_two()
    result = plan_migration.preview_migrations("pro")
    assert [move.refused for move in result] == ["a plan change is scheduled"]
    assert plan_migration.migrate(result) == 0
    assert "(not moved: a plan change is scheduled)" in command("pro", "--dry-run")
    assert replace(result[0], refused="").refused == ""


def test_a_subscription_is_migrated_once(payer, acme, version_two):
    payer.buy()
    version_two()
    root = User.objects.create_superuser("root@staff.example", "x")
    subscription = payer.state.stripe_subscription_id
    for _ in range(2):
        assert plan_migration.migrate_subscription(subscription, 2, root, "The new terms") == ""
    assert limit(acme) == 20
    event = AuditEvent.objects.get(action="billing.move_version")
    assert (event.actor_user, event.reason, event.before["plan"]) == (root, "The new terms", "pro v1")
    assert event.after["price"] == price_of()
    assert plan_migration.migrate_subscription("sub_gone", 2) == "its subscription has ended"


def test_an_unknown_organization_is_reported(db):
    with pytest.raises(CommandError):
        command("pro", "--organization", "0190a000-0000-7000-8000-000000000000")
