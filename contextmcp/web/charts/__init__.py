"""Charts as data for templates: axes, bars and lines of an SVG, without a script, inline styles or a library (ADR-026).

All positions are percentages of the plot, which are attributes of the SVG's elements, so a chart fills any width while its text and its
strokes keep their size. `templates/web/charts/` draws them, and `static/web/site.css` has their colors. Values are integers of one unit.
"""

from .bars import BarChart, Slot, bar_chart
from .lines import Line, LineChart, Mark, line_chart
from .scale import Scale, Tick, nice_scale, place

__all__ = ["BarChart", "Line", "LineChart", "Mark", "Scale", "Slot", "Tick", "bar_chart", "line_chart", "nice_scale", "place"]
