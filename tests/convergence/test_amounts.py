"""The invoice bills what the preview says."""

import pytest

from tests.convergence import amounts

pytestmark = pytest.mark.django_db


def test_previews_equal_invoices_to_the_cent(stripe_world) -> None:
    found = amounts.compare(stripe_world, changes=30, seed=5)
    assert found.changes == 30
    assert found.at_once and found.planned and found.discounted and found.renewed, found
    assert found.beside and found.free_days, found
    assert not found.wrong, "\n".join(found.wrong)
