"""Exactness of quotas, small. The long run has 1,000 concurrent calls and 1, 10 and 999 units left."""

import pytest

from tests.chaos import quota_exactness

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.chaos]


def test_exactly_n_are_allowed_during_kills_and_flushes():
    result = quota_exactness.run(40, calls=120, repeats=40, clients=60, gates=2)
    assert not result.failures, "\n".join(result.failures)
    assert (result.admitted, result.flushes) == (40, 1)
    assert result.kills >= 2
