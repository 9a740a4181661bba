"""Maps that skip the way down to coarse grids and up again, as a U-Net's do: named where they arrive.

As lines they would cross the whole drawing, and hold together what are blocks in a row.
"""

from collections.abc import Sequence
from dataclasses import replace

from separable.analysis.draw.labels import Label, shape_text
from separable.analysis.draw.units import Unit

__all__ = ["named_skips"]


def named_skips(units: Sequence[Unit]) -> list[Unit]:
    """The units, with every concatenation's inputs taken away that pass by an upsampling and come from another module;
    its box says their names instead."""
    return [_without_skips(units, unit) for unit in units]


def _without_skips(units: Sequence[Unit], unit: Unit) -> Unit:
    if unit.nodes[0].operation != "cat" or len(unit.inputs) < 2:
        return unit
    main = max(unit.inputs)
    skips = [source for source in unit.inputs if source != main and _is_long(units, source, unit.index)]
    if len(skips) != len(unit.inputs) - 1:
        return unit
    names = ", ".join(f"{_name(units, source)} ({shape_text(units[source].shape)})" for source in sorted(skips))
    return replace(unit, inputs=(main,), label=Label(f"Concat with {names}", family="light"))


def _is_long(units: Sequence[Unit], source: int, join: int) -> bool:
    """Whether the map passes by an upsampling, out of a module that the concatenation is not in."""
    inside = units[source].scope[:1]
    between = units[source + 1 : join]
    up = any(node.operation == "upsample" for unit in between for node in unit.nodes)
    return up and bool(inside) and inside != units[join].scope[:1]


def _name(units: Sequence[Unit], source: int) -> str:
    """The outermost module whose last map this is; else the layer."""
    for path in units[source].scope:
        if not any(path in unit.scope for unit in units[source + 1 :]):
            return path.split("#")[0]
    return units[source].nodes[-1].name
