"""Plots as strings of SVG: pure functions, no drawing library, coloured by the page's CSS variables."""

from separable.analysis.plots.bars import Bar, bar_chart
from separable.analysis.plots.calibration import ReliabilityBin, reliability_diagram
from separable.analysis.plots.dots import DotRow, dot_chart
from separable.analysis.plots.heat import heat_map
from separable.analysis.plots.limits import LimitRow, limit_chart
from separable.analysis.plots.lines import Marker, Series, line_chart
from separable.analysis.plots.roofline import Roof, RooflinePoint, roofline_plot
from separable.analysis.plots.scatter import ScatterPoint, pareto_front, scatter_chart
from separable.analysis.plots.shares import ShareRow, share_chart

__all__ = [
    "Bar",
    "DotRow",
    "LimitRow",
    "Marker",
    "ReliabilityBin",
    "Roof",
    "RooflinePoint",
    "ScatterPoint",
    "Series",
    "ShareRow",
    "bar_chart",
    "dot_chart",
    "heat_map",
    "limit_chart",
    "line_chart",
    "pareto_front",
    "reliability_diagram",
    "roofline_plot",
    "scatter_chart",
    "share_chart",
]
