"""`separable draw`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from separable.cli.networks import changed_options, input_of, load_network, titled
from separable.cli.options import Debug, InputShape, Json, ModelOptions
from separable.cli.output import Output
from separable.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from separable.analysis.draw import Theme
    from separable.runtime.locate import Located

EXAMPLES = """
separable draw xception --out xception.svg
separable draw inception_v3 --option aux_head=true --out inception_v3.svg --theme dark
separable draw resnet50 --layers --out every-layer.svg
separable draw my_network.py:build --size 200x333 --out mine.svg
"""
_THEMES: "tuple[Theme, ...]" = ("auto", "light", "dark")


def draw(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A catalogue name, a run, or file.py:factory.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write the picture, an .svg.")],
    layers: Annotated[
        bool, typer.Option("--layers", help="Draw every layer, and nothing once for many that are alike.")
    ] = False,
    size: Annotated[
        str | None, typer.Option(metavar="SIDE|HxW", help="Picture size.", show_default="the network's own")
    ] = None,
    shape: InputShape = None,
    theme: Annotated[
        str, typer.Option(metavar="WHICH", help="Colours: auto (as the reader's system), light or dark.")
    ] = "auto",
    option: ModelOptions = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Draw a network as the figures of the papers do: modules with branches and shapes, repetitions once.

    Where a design principle of the Inception papers is broken, the drawing says so.
    """
    _check(out, theme)
    from separable.analysis.draw import draw_graph, marks_of
    from separable.analysis.graph import record_graph
    from separable.files import demand_writable, write_text_atomically
    from separable.runtime.locate import locate

    with Output(json) as output:
        demand_writable(out)
        located = locate(model)
        network = load_network(located, option, values=False)
        graph = record_graph(network, input_of(network, size, 1, shape))
        marks = marks_of(graph)
        title, source = _heading(model, located, network)
        chosen = next(known for known in _THEMES if known == theme)
        svg = draw_graph(graph, title, source=source, every_layer=layers, theme=chosen, marks=marks)
        write_text_atomically(out, svg)
        pixels = "x".join(map(str, graph.input_shape[2:] or graph.input_shape[1:]))
        found = f"; remarks on design principles in its legend: {len(marks)}" if marks else ""
        output.show(f"{out}: {title}, {len(graph.nodes)} operations at {pixels}{found}")
        output.document(
            {
                "model": model,
                "title": title,
                "options": changed_options(network),
                "out": str(out),
                "bytes": len(svg.encode()),
                "input_shape": list(graph.input_shape),
                "operations": len(graph.nodes),
                "layers": layers,
                "theme": theme,
                "principles": [{"where": mark.where, "level": mark.level, "text": mark.text} for mark in marks],
            }
        )


def _check(out: Path, theme: str) -> None:
    if theme not in _THEMES:
        raise UsageError("Unknown --theme", got=repr(theme), expected=" or ".join(_THEMES))
    ending = out.suffix.lower()
    if ending != ".svg":
        svg = out.with_suffix(".svg").name
        raise UsageError(
            "`draw` writes SVG only",
            got=out.name,
            expected=f"a name that ends with .svg, such as {svg}",
            fix=f"Write {svg}; a browser, Inkscape or `rsvg-convert {svg} -o {out.stem}.png` makes other formats of it",
        )


def _heading(model: str, located: "Located", network: "nn.Module") -> tuple[str, str]:
    """The drawing's title, and the paper where the network is one of the catalogue."""
    from separable.analysis.draw import title_of
    from separable.models import list_models, model_spec

    name = str(getattr(network, "name", ""))
    known = name in list_models()
    if located.kind == "factory":
        return located.name, f"{type(network).__name__} of {located.path}"
    title = titled(title_of(name) if known else model, network)
    paper = model_spec(name).paper if known else ""
    return title, paper if located.kind == "catalogue" else ", ".join(part for part in (paper, model) if part)
