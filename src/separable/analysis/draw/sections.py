"""The sections of a drawing: those its paper names, or one for the stem, one for each grid size, one for the end."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from separable.analysis.draw.blocks import Block, Group, Network
from separable.analysis.draw.tree import Box

__all__ = ["Section", "divide"]


@dataclass(frozen=True)
class Section:
    title: str
    groups: tuple[Group, ...]
    is_named: bool = False
    """Whether the title is the paper's."""


def divide(network: Network) -> list[Section]:
    """The groups of `network` in sections, in order."""
    groups = network.groups
    flows = _flows(groups) if network.kind.endswith("Xception") else []
    titles = flows or _grids(groups)
    runs = itertools.groupby(zip(titles, groups, strict=True), key=lambda pair: pair[0])
    return [Section(title, tuple(group for _, group in run), bool(flows)) for title, run in runs]


def _flows(groups: Sequence[Group]) -> list[str]:
    """Entry, middle and exit flow of the Xceptions (figure 5 of arXiv:1610.02357), found by their middle blocks."""
    middle = [
        number
        for number, group in enumerate(groups)
        if group.first.kind == "XceptionMiddle" or group.first.name.startswith("middle")
    ]
    if not middle:
        return []
    first, last = middle[0], middle[-1]
    return [
        "Entry flow" if number < first else "Exit flow" if number > last else "Middle flow"
        for number in range(len(groups))
    ]


def _grids(groups: Sequence[Group]) -> list[str]:
    """The stem is what comes before the first module; a module that shrinks the grid belongs to the smaller one."""
    first = next((number for number, group in enumerate(groups) if _is_module(group.first)), 0)
    if all(_grid(group.last) is None for group in groups[:first]):
        first = 0
    titles: list[str] = []
    for number, group in enumerate(groups):
        grid = _grid(group.last)
        if number < first:
            titles.append("Stem")
        elif grid is not None and grid != (1, 1):
            titles.append(f"{grid[0]}x{grid[1]} grid")
        elif titles and len(group.last.output_shape) == 3:
            titles.append("Tokens")
        else:
            titles.append("Classifier")
    return titles


def _is_module(block: Block) -> bool:
    """Something with branches, or a chain of layers as MobileNet's units are."""
    branching = any(not isinstance(item, Box) for item in block.series.items)
    return branching or (len(block.series.items) > 1 and _grid(block) is not None)


def _grid(block: Block) -> tuple[int, int] | None:
    shape = block.output_shape
    return (shape[2], shape[3]) if len(shape) == 4 else None
