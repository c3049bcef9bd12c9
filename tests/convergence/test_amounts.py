"""The invoice has the amount of the preview."""

import pytest

from tests.convergence import amounts

pytestmark = pytest.mark.django_db


def test_previews_equal_invoices_to_the_cent(stripe_world) -> None:
    result = amounts.compare(stripe_world, changes=30, seed=5)
    assert result.changes == 30
    assert result.at_once and result.planned and result.discounted and result.renewed, result
    assert result.with_other_item and result.free_days, result
    assert not result.failures, "\n".join(result.failures)
