"""Plots as strings of SVG: pure functions, no drawing library, coloured by the page's CSS variables."""

from separable.analysis.plots.bars import Bar, bar_chart
from separable.analysis.plots.calibration import ReliabilityBin, reliability_diagram
from separable.analysis.plots.heat import heat_map
from separable.analysis.plots.limits import LimitRow, limit_chart
from separable.analysis.plots.lines import Marker, Series, line_chart
from separable.analysis.plots.roofline import Roof, RooflinePoint, roofline_plot
from separable.analysis.plots.shares import ShareRow, share_chart

__all__ = [
    "Bar",
    "LimitRow",
    "Marker",
    "ReliabilityBin",
    "Roof",
    "RooflinePoint",
    "Series",
    "ShareRow",
    "bar_chart",
    "heat_map",
    "limit_chart",
    "line_chart",
    "reliability_diagram",
    "roofline_plot",
    "share_chart",
]
