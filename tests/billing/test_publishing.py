"""Publishing the catalogue at Stripe."""

from io import StringIO

import pytest
from django.core.management import call_command

from billing.models import PlanPrice
from billing.services import publish


def command(*args: str) -> str:
    out = StringIO()
    call_command("publish_catalog", *args, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_it_makes_products_prices_and_the_meter_once(stripe_configured):
    assert "+ price pro/month: 900 usd" in command()
    prices = {price.lookup_key: price for price in stripe_configured.sdk.prices.list({"limit": 100}).data}
    assert {key: price.unit_amount for key, price in prices.items()} == {
        "contextmcp_pro_month": 900,
        "contextmcp_pro_year": 9000,
        "contextmcp_enterprise_month": 2900,
        "contextmcp_enterprise_year": 29000,
        "contextmcp_pro_sessions_overage": 2,
    }
    meter = stripe_configured.sdk.billing.meters.list().data[0]
    assert meter.event_name == "contextmcp_sessions_overage"
    assert prices["contextmcp_pro_sessions_overage"].recurring.meter == meter.id
    assert "0 of" in command()
    assert PlanPrice.objects.count() == 5
    assert len(stripe_configured.sdk.prices.list({"limit": 100}).data) == 5


@pytest.mark.django_db
def test_a_dry_run_shows_the_difference_and_changes_nothing(stripe_configured):
    assert "+ price pro/month: 900 usd" in command("--dry-run")
    assert stripe_configured.sdk.prices.list({"limit": 100}).data == []
    assert not PlanPrice.objects.exists()
    publish.publish()
    assert "= price pro/month" in command("--dry-run")
