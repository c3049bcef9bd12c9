"""The recurring revenue of every day equals a calculation from Stripe's own objects, to the cent."""

from datetime import date, timedelta

import pytest
from django.test import override_settings

from billing.models import RevenueDay, RevenueMovement, RevenuePlanDay, RevenueSnapshot
from billing.revenue import rebuild
from tests.convergence import revenue_prices
from tests.convergence.revenue_actions import ACTIONS
from tests.convergence.revenue_expected import MOVEMENTS
from tests.convergence.revenue_year import RevenueYear
from tests.support.stripe import Stripe

pytestmark = pytest.mark.django_db
DAYS = 365


@override_settings(BILLING_REFUND_POLICY="cancel")
def test_a_year_of_revenue_equals_stripes_own_objects(stripe_world: Stripe) -> None:
    prices = revenue_prices.publish(stripe_world)
    year = RevenueYear(stripe_world, prices, buyers=3, days=DAYS, seed=8, actions=0.05, deliveries=0.01)
    result = year.play()
    assert not result.failures, "\n".join(result.failures)
    assert set(result.actions) >= {action.name for action in ACTIONS}
    assert set(result.movements) == set(MOVEMENTS)
    assert result.compared == DAYS * 2 * 8 and result.invoices > 8

    stored = figures(year.last)
    for model in (RevenueDay, RevenueMovement, RevenuePlanDay, RevenueSnapshot):
        model.objects.all().delete()
    rebuild.rebuild_days(year.first, year.last)
    assert figures(year.last) == stored, "a rebuild from nothing differs"
    rebuild.rebuild_days(year.first, year.last)
    assert figures(year.last) == stored, "a repeated rebuild differs"


@override_settings(BILLING_REFUND_POLICY="cancel")
def test_a_cancellation_by_the_product_counts_on_its_day(stripe_world: Stripe) -> None:
    year = RevenueYear(stripe_world, revenue_prices.publish(stripe_world), buyers=1, days=4, seed=1)
    days = [year.first + timedelta(days=number) for number in range(year.days)]
    year.play_day(days[0], year.buyers, action="subscribes", share=1)
    year.play_day(days[1], year.buyers, action="is refunded in full")
    # Stripe's event about the cancellation is of this day, and arrives on a later one.
    year.play_day(days[2], share=1)
    year.play_day(days[3])
    assert not year.compare().failures, "\n".join(year.result.failures)
    assert year.result.by_product == 1
    assert [(row.day, row.kind) for row in RevenueMovement.objects.order_by("day")] == [(days[0], "new"), (days[2], "churn")]


def figures(last: date) -> list[str]:
    days = [model.objects.filter(day__lte=last) for model in (RevenueDay, RevenueMovement, RevenuePlanDay)]
    rows = [row for each in (*days, RevenueSnapshot.objects.all()) for row in each.values()]
    return sorted(str({name: value for name, value in row.items() if name not in {"id", "computed_at"}}) for row in rows)
