"""The positions of charts: round scales, and shapes within the plot."""

import pytest

from contextmcp.web.charts import Line, Mark, Slot, bar_chart, line_chart, nice_scale, place
from contextmcp.web.charts.scale import MAX_LABELS, MAX_STEPS


@pytest.mark.parametrize(
    ("highest", "top", "step"),
    [(0, 1, 1), (1, 1, 1), (3, 3, 1), (5, 6, 2), (20, 20, 5), (41, 60, 20), (99, 100, 25), (1000, 1000, 250), (1001, 1500, 500)],
)
def test_a_scale_has_round_steps(highest, top, step):
    scale = nice_scale(highest)
    assert (scale.top, scale.step) == (top, step)
    assert [tick.place for tick in scale.ticks][-1] == "0%"
    assert scale.ticks[0].place == "100%"


def test_every_scale_reaches_its_highest_value_in_few_steps():
    for highest in [*range(1, 400), 12_345, 999_999, 7_000_001, 10**12]:
        scale = nice_scale(highest)
        assert scale.top >= highest and scale.top % scale.step == 0
        assert scale.top // scale.step <= MAX_STEPS


def test_labels_of_large_numbers_are_short():
    assert [tick.label for tick in nice_scale(9_000).ticks] == ["0", "2,500", "5,000", "7,500", "10K"]
    assert nice_scale(2_000_000).ticks[1].label == "500K"
    assert max(len(tick.label) for tick in nice_scale(999_999_999).ticks) <= 6


def percent(text):
    assert text.endswith("%")
    return float(text[:-1])


def test_bars_are_stacked_within_the_plot():
    chart = bar_chart([Slot("1", "1", (10, 30), 20), Slot("2", "2", (0, 0), None), Slot("3", "3", (5, 0), 60)])
    first, empty, last = chart.columns
    low, high = first.bars
    assert (low.y, low.height, high.y, high.height) == ("83.33%", "16.67%", "33.33%", "50%")
    assert (first.before.y, first.before.height) == ("66.67%", "33.33%")
    assert (empty.bars, empty.before) == ((), None)
    assert [bar.series for bar in last.bars] == [0]
    assert percent(last.before.height) == 100
    for column in chart.columns:
        for bar in [*column.bars, column.area]:
            assert percent(bar.x) >= 0 and percent(bar.x) + percent(bar.width) <= 100.01
    assert chart.values_written
    assert first.label_y == "33.33%"


def test_a_negative_amount_has_no_bar():
    chart = bar_chart([Slot("1", "1", (-5,), -2), Slot("2", "2", (4,), 0)])
    assert chart.columns[0].bars == () and chart.columns[0].before is None
    assert chart.scale.top == 4


def test_a_chart_has_few_labels_in_order():
    for number in (1, 2, 5, 7, 24, 30, 92):
        chart = bar_chart([Slot(f"{day:02}", "", (1,)) for day in range(number)])
        assert 1 <= len(chart.ticks) <= MAX_LABELS
        assert [tick.label for tick in chart.ticks] == sorted(tick.label for tick in chart.ticks)
        assert chart.values_written is (number <= 8)


def test_lines_share_a_scale_with_marks_that_are_near():
    lines = [Line("now", [(0, 0), (0.5, 50)], filled=True), Line("before", [(0, 0), (1, 80)]), Line("none", [])]
    chart = line_chart(lines, [Mark("limit", 100), Mark("cap", 5000)], [(0, "a"), (0.5, "b")])
    assert chart.scale.top == 100
    assert [(mark.name, mark.y) for mark in chart.marks] == [("limit", "0%")]
    now, before = chart.paths
    assert (now.line, now.area) == ("M0.00 100.00 L50.00 50.00", "M0.00 100.00 L50.00 50.00 L50.00 100 L0.00 100 Z")
    assert (before.line, before.area, before.end_x, before.end_y) == ("M0.00 100.00 L100.00 20.00", "", "100%", "20%")
    assert [tick.place for tick in chart.ticks] == ["0%", "50%"]


def test_positions_have_a_point_in_every_language():
    from django.utils.translation import override

    with override("de"):
        assert (place(33.333), place(50), place(0)) == ("33.33%", "50%", "0%")
