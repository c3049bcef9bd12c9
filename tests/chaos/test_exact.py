"""N left, small: the long run has 1,000 calls at once and N of 1, 10 and 999."""

import pytest

from tests.chaos import exact

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.chaos]


def test_exactly_as_many_as_are_left_though_servers_die_and_the_cache_is_flushed():
    found = exact.run(40, calls=120, repeats=40, clients=60, gates=2)
    assert not found.wrong, "\n".join(found.wrong)
    assert (found.admitted, found.flushes) == (40, 1)
    assert found.kills >= 2
