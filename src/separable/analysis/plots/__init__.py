"""Plots as strings of SVG: pure functions, no drawing library, coloured by the page's CSS variables."""

from separable.analysis.plots.bars import Bar, bar_chart
from separable.analysis.plots.calibration import ReliabilityBin, reliability_diagram
from separable.analysis.plots.heat import heat_map
from separable.analysis.plots.lines import Marker, Series, line_chart

__all__ = [
    "Bar",
    "Marker",
    "ReliabilityBin",
    "Series",
    "bar_chart",
    "heat_map",
    "line_chart",
    "reliability_diagram",
]
