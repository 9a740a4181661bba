"""Drawings of networks as the papers' figures have them, as SVG."""

from collections.abc import Sequence

from separable.analysis.draw.blocks import Network, arrange
from separable.analysis.draw.labels import shape_text
from separable.analysis.draw.marks import Mark, marks_of
from separable.analysis.draw.names import title_of
from separable.analysis.draw.page import Page, compose
from separable.analysis.draw.skips import named_skips
from separable.analysis.draw.style import Theme
from separable.analysis.draw.svg import to_svg
from separable.analysis.draw.units import units_of
from separable.analysis.draw.words import choose_words
from separable.analysis.graph import Graph

__all__ = ["Mark", "Page", "Theme", "draw_graph", "marks_of", "page_of", "title_of"]


def draw_graph(
    graph: Graph,
    title: str,
    *,
    source: str = "",
    every_layer: bool = False,
    theme: Theme = "auto",
    marks: Sequence[Mark] = (),
) -> str:
    """The SVG document of a recorded network.

    By default it looks as the figures of the papers do: modules by name, identical ones in a row drawn once, branches
    side by side, a convolution and its normalisation and activation in one box.

    Args:
        title: the heading, such as "Xception".
        source: named below the title, such as "arXiv:1610.02357".
        every_layer: one box for each layer, nothing drawn once for many.
        theme: "auto" follows the reader's system.
        marks: places to point out, with a legend.
    """
    page = page_of(graph, title, source=source, every_layer=every_layer, marks=marks)
    summary = _subtitle(graph, source)
    return to_svg(page.shapes, page.width, page.height, title=title, summary=summary, theme=theme)


def page_of(
    graph: Graph, title: str, *, source: str = "", every_layer: bool = False, marks: Sequence[Mark] = ()
) -> Page:
    """The same as shapes with places, before they become SVG."""
    units = units_of(graph, every_layer=every_layer)
    if not every_layer:
        units = named_skips(units)
    network: Network = arrange(graph, units, collapse=not every_layer)
    words = choose_words(units)
    return compose(network, words, title=title, subtitle=_subtitle(graph, source), marks=marks, inline=every_layer)


def _subtitle(graph: Graph, source: str) -> str:
    aside = {node.index for node in graph.nodes} - graph.ancestors(graph.outputs[0])
    parameters = f"{sum(node.parameters for node in graph.nodes if node.index not in aside):,} parameters"
    if any(graph.nodes[index].parameters for index in aside):
        parameters += f" and {sum(graph.nodes[index].parameters for index in aside):,} in side branches"
    return ", ".join(part for part in (source, f"input {shape_text(graph.input_shape)}", parameters) if part)
