"""Plan versions: existing subscribers stay on theirs until staff move them."""

from dataclasses import replace
from io import StringIO

import msgspec
import pytest
from django.core.management import CommandError, call_command

from billing.models import Invoice
from billing.services import moves, publish
from entitlements import catalog
from entitlements.manager import EntitlementsManager
from entitlements.terms import Price
from tests.factories.billing import Payer, price_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def version_two(stripe_world):
    """Publishes a second version of Pro: $12, and 20 projects."""

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
        publish.publish(msgspec.structs.replace(catalog.CATALOG, plans=plans))
        stripe_world.deliver()

    return make


def command(*args: str) -> str:
    out = StringIO()
    call_command("move_plan_version", *args, stdout=out)
    return out.getvalue()


def limit(organization, feature="projects"):
    organization.refresh_from_db()
    return EntitlementsManager(organization).entitlements().allowances[feature].limit


def test_existing_subscribers_stay_and_new_ones_get_the_new_one(payer, acme, stranger, version_two):
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


def test_staff_see_who_changes_and_what_and_move_them(payer, acme, version_two):
    payer.buy()
    version_two()
    told = command("pro", "--dry-run")
    assert "Acme: pro v1 -> pro v2, $9.00 -> $12.00 a month; projects: 10 -> 20" in told
    assert limit(acme) == 10
    assert "Moved 1 of 1" in command("pro", "--to", "2", "--organization", acme.slug)
    assert limit(acme) == 20
    assert Invoice.objects.count() == 1
    payer.later(31.2)
    assert Invoice.objects.latest("created_at").total == 1200
    assert "Moved 0 of 0" in command("pro")


def test_the_metered_item_goes_with_it(payer, acme, api, owner, version_two):
    payer.buy()
    api.put("/api/billing/overage", {"enabled": True, "cap": 100}, by=owner)
    payer.world.deliver()
    version_two()
    command("pro")
    items = payer.world.sdk.subscriptions.retrieve(payer.state.stripe_subscription_id)["items"].data
    assert {item.price.id for item in items} == {price_of(), price_of("pro", "overage")}


def test_those_in_arrears_or_about_to_change_stay(payer, acme, api, owner, version_two):
    payer.buy("pro", "year")
    api.post("/api/billing/change-plan", {"planTier": "pro", "interval": "month"}, by=owner)
    version_two()
    found = moves.preview("pro")
    assert [move.refused for move in found] == ["a plan change is planned"]
    assert moves.make(found) == 0
    assert "(stays: a plan change is planned)" in command("pro", "--dry-run")
    assert replace(found[0], refused="").refused == ""


def test_nobody_of_that_name(db):
    with pytest.raises(CommandError):
        command("pro", "--organization", "0190a000-0000-7000-8000-000000000000")
