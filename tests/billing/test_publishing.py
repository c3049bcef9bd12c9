"""Publishing the catalog at Stripe."""

from io import StringIO

import msgspec
import pytest
from django.core.management import call_command

from billing.catalog import prices, publish
from billing.errors import BillingNotConfigured
from billing.manager import BillingManager
from billing.models import PlanPrice
from entitlements.catalog import CATALOG
from tests.factories.billing import price_of


def command(*args: str) -> str:
    out = StringIO()
    call_command("publish_catalog", *args, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_publishing_creates_products_prices_and_meter_once(stripe_configured):
    assert "+ price pro/month: 900 usd" in command()
    created = {price.lookup_key: price for price in stripe_configured.sdk.prices.list({"limit": 100}).data}
    assert {key: price.unit_amount for key, price in created.items()} == {
        "contextmcp_pro_month": 900,
        "contextmcp_pro_year": 9000,
        "contextmcp_enterprise_month": 2900,
        "contextmcp_enterprise_year": 29000,
        "contextmcp_pro_sessions_overage": 2,
    }
    meter = stripe_configured.sdk.billing.meters.list().data[0]
    assert meter.event_name == "contextmcp_sessions_overage"
    assert created["contextmcp_pro_sessions_overage"].recurring.meter == meter.id
    assert "0 of" in command()
    assert PlanPrice.objects.count() == 5
    assert len(stripe_configured.sdk.prices.list({"limit": 100}).data) == 5


@pytest.mark.django_db
def test_a_dry_run_shows_the_difference_and_changes_nothing(stripe_configured):
    assert "+ price pro/month: 900 usd" in command("--dry-run")
    assert stripe_configured.sdk.prices.list({"limit": 100}).data == []
    assert not PlanPrice.objects.exists()
    publish.publish_catalog()
    assert "= price pro/month" in command("--dry-run")


class TestAPriceFromTheEnvironmentInANewVersion:
    @pytest.fixture
    def raised(self, payer, settings):
        """Return the catalog with another version of Pro, whose monthly price is unchanged."""
        settings.STRIPE_PRICE_IDS = {"STRIPE_PRO_MONTHLY_PRICE_ID": price_of()}
        plans = tuple(msgspec.structs.replace(each, version=2) if each.name == "pro" else each for each in CATALOG.plans)
        return msgspec.structs.replace(CATALOG, plans=plans)

    def test_a_price_keeps_the_version_that_was_bought(self, payer, acme, raised):
        payer.buy()
        assert "conflict" in {step.state for step in publish.plan_publish(raised)}
        publish.publish_catalog(raised)
        BillingManager(acme).sync()
        assert payer.state.plan_version.version == 1
        with pytest.raises(BillingNotConfigured, match="Configure a different price"):
            prices.sellable_price("pro", "month")

    def test_a_price_without_subscribers_can_be_reassigned(self, payer, raised):
        publish.publish_catalog(raised)
        assert prices.sellable_price("pro", "month").plan_version.version == 2
