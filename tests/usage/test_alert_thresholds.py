"""The rules for usage alerts, without a database."""

import pytest

from usage.alerts import thresholds


@pytest.mark.parametrize(
    ("used", "limit", "expected"),
    [
        (0, 0, None),
        (1, 0, None),
        (9, None, None),
        (-3, 10, None),
        (24, 50, None),
        (25, 50, 50),
        (39, 50, 50),
        (40, 50, 80),
        (49, 50, 80),
        (50, 50, 100),
        (70, 50, 100),
        (1, 3, None),
        (2, 3, 50),
    ],
)
def test_when_a_threshold_is_reached(used, limit, expected):
    assert thresholds.threshold(used, limit) == expected


def test_when_an_hour_is_a_spike():
    assert thresholds.Baseline(23, 2300, 100).spike_threshold is None
    assert thresholds.Baseline(24, 2400, 100).spike_threshold == 400
    assert thresholds.Baseline(24, 2400, 900).spike_threshold == 900
    assert thresholds.Baseline(24, 24, 1).spike_threshold == 19
