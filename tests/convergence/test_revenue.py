"""The recurring revenue of every day equals a calculation from Stripe's own objects, to the cent."""

from datetime import date

import pytest

from billing.models import RevenueDay, RevenueMovement, RevenuePlanDay, RevenueSnapshot
from billing.revenue import rebuild
from tests.convergence import revenue_prices
from tests.convergence.revenue_year import ACTIONS, MOVEMENTS, RevenueYear
from tests.support.stripe import Stripe

pytestmark = pytest.mark.django_db
DAYS = 365


def test_a_year_of_revenue_equals_stripes_own_objects(stripe_world: Stripe) -> None:
    year = RevenueYear(stripe_world, revenue_prices.publish(stripe_world), buyers=9, days=DAYS, seed=7)
    result = year.play()
    assert not result.failures, "\n".join(result.failures)
    assert set(result.actions) >= {action[0] for action in ACTIONS}
    assert set(result.movements) == set(MOVEMENTS)
    assert result.compared == DAYS * 2 * 8 and result.invoices > 15

    last = max(year.expected)[0]
    stored = figures(last)
    for model in (RevenueDay, RevenueMovement, RevenuePlanDay, RevenueSnapshot):
        model.objects.all().delete()
    rebuild.rebuild_days(year.first, last)
    assert figures(last) == stored, "a rebuild from nothing differs"
    rebuild.rebuild_days(year.first, last)
    assert figures(last) == stored, "a repeated rebuild differs"


def figures(last: date) -> list[str]:
    days = [model.objects.filter(day__lte=last) for model in (RevenueDay, RevenueMovement, RevenuePlanDay)]
    rows = [row for each in (*days, RevenueSnapshot.objects.all()) for row in each.values()]
    return sorted(str({name: value for name, value in row.items() if name not in {"id", "computed_at"}}) for row in rows)
