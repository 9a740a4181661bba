"""Where a network breaks the design principles of arXiv:1512.00567, section 2, as rules that can be computed.

Principle 1, "Avoid representational bottlenecks": "any cut separating the inputs from the outputs" bounds what passes;
the representation "should gently decrease". The cuts are those of `cuts.find_cuts`, their sizes with grids halved
exactly. Stages are runs of cuts on one grid. A finding is

- a grid reduction after which the first cut has at most 0.3 of the size that the stage before it kept (the median of
  its cuts), when the new stage then widens it to 1.5 times or more: the left of figure 9, pooling before widening, has
  0.25 and 2. Or one to an eighth or less, whatever follows;
- a cut within a stage of at most an eighth of the widest one before it that convolutions widen to twice its size or
  more: a needle. (Cheaper 1x1 reductions are principle 3, and beside other branches they are no cut at all; nor are the
  logits of pixels where they are resized to the picture.)

Principle 4, "Balance the width and depth": "the computational budget should be distributed in a balanced way". By
stage: its share of the multiply-adds and its share of the longest chain of convolutions. A finding is a stage with a
quarter or more of the one and at most a sixth of that of the other, in a network of eight convolutions in a row.

Findings up to an eighth of the picture's side are notes: neighbouring pixels say much the same, and the stems of the
papers' own networks break the first principle too. Elsewhere Inception V3 and V4, Inception-ResNet V2 and Xception have
no finding, which tests hold on to. Strided depthwise convolutions and VGG's pools are found: what they break is real.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, Literal

from separable.analysis.cuts import Cut, find_cuts, find_strides
from separable.analysis.graph import Graph, Node
from separable.analysis.stages import readable_name

__all__ = ["PRINCIPLES", "BrokenPrinciple", "find_broken_principles"]

PRINCIPLES = {1: "Avoid representational bottlenecks", 4: "Balance the width and depth of the network"}

_FALL = 0.3
_ABRUPT = 1 / 8
_WIDENS = 1.5
_NEEDLE_WIDENS = 2.0
_STEM = 8
_LARGE_SHARE = 0.25
_OUT_OF_BALANCE = 6.0
_DEEP = 8
"""Convolutions in a row from which on a network has depth enough to be distributed."""
_CONVOLUTIONS = ("conv", "separable_conv")


@dataclass(frozen=True)
class BrokenPrinciple:
    """One place; `factor` is the size left over the size before, or for balance the one share over the other."""

    principle: Literal[1, 4]
    level: Literal["warning", "note"]
    where: str
    """A node's name, or the path of the module that holds the nodes in question."""
    factor: float
    text: str
    """A sentence or two with the numbers and what the paper does instead."""
    what: str = ""
    """What layer it is, such as "3x3 convolution"; empty for a module."""

    @property
    def title(self) -> str:
        """The paper's words for the principle."""
        return PRINCIPLES[self.principle]

    @property
    def place(self) -> str:
        """For people: "layer 10 (7x7 convolution)" where the name is nothing but a number."""
        return readable_name(self.where, self.what)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "title": self.title}


def find_broken_principles(graph: Graph) -> tuple[BrokenPrinciple, ...]:
    """All findings, in the order of the network; none for a network without grids of more than one pixel."""
    widening = max((node.index for node in graph.nodes if node.operation in _CONVOLUTIONS), default=-1)
    stages = [list(cuts) for _, cuts in groupby(find_cuts(graph), key=lambda cut: cut.stride)]
    found: list[tuple[int, BrokenPrinciple]] = []
    for number, stage in enumerate(stages):
        if number and stage[0].stride > stages[number - 1][0].stride:
            found += _reduction(stages[number - 1], stage)
        needles = _needles(stage, stages[number + 1] if number + 1 < len(stages) else [])
        found += [(index, finding) for index, finding in needles if index < widening]
    found += _imbalances(graph)
    first: dict[tuple[str, int], tuple[int, BrokenPrinciple]] = {}
    for index, finding in found:  # a cut that is too narrow in both ways is said once
        first.setdefault((finding.where, finding.principle), (index, finding))
    return tuple(finding for _, finding in sorted(first.values(), key=lambda pair: pair[0]))


def _reduction(before: Sequence[Cut], stage: Sequence[Cut]) -> Iterator[tuple[int, BrokenPrinciple]]:
    plain = [cut for cut in before if cut.last.operation not in ("pad", "slice")] or before
    sizes = [cut.size for cut in plain]
    middle = statistics.median_low(sizes), statistics.median_high(sizes)
    usual = next(cut for cut in reversed(plain) if cut.size in middle)  # of two the later: one that text can name
    narrow = stage[0]
    fall, widened = narrow.size / usual.size, max(cut.size for cut in stage) / narrow.size
    if fall > _FALL or (fall > _ABRUPT and widened < _WIDENS):
        return
    text = f"From {_shape(usual)} to {_shape(narrow)}: {_percent(fall)} of the representation is left"
    if widened >= _WIDENS:
        text += f", which the layers after it then widen {widened:.3g} times"
    yield narrow.last.index, _finding(
        1, before[-1].stride, _name(narrow), _what(narrow), fall,
        f"{text}. The paper reduces the grid in strided convolutions beside a pool (figure 10), or widens first.",
    )  # fmt: skip


def _needles(stage: Sequence[Cut], following: Sequence[Cut]) -> Iterator[tuple[int, BrokenPrinciple]]:
    """One finding for each run of cuts that are too narrow, at its narrowest."""
    widest = 0.0
    runs: list[list[int]] = []  # first and last index of each
    for index, cut in enumerate(stage):
        if widest and cut.size <= _ABRUPT * widest * (1 + 1e-9):
            if not runs or runs[-1][1] != index - 1:
                runs.append([index, index])
            runs[-1][1] = index
        widest = max(widest, cut.size)
    for first, last in runs:
        narrow = min(stage[first : last + 1], key=lambda cut: cut.size)
        wide = max((cut for cut in stage[:first]), key=lambda cut: (cut.size, cut.alone))
        later = max((cut.size for cut in [*stage[last + 1 :], *following]), default=0.0)
        if later < _NEEDLE_WIDENS * narrow.size:
            continue
        fall = narrow.size / wide.size
        text = (
            f"{_shape(narrow)} after {_shape(wide)}: {_percent(fall)} of the representation passes, which the layers "
            f"after it then widen {later / narrow.size:.3g} times."
        )
        yield narrow.last.index, _finding(1, narrow.stride, _name(narrow), _what(narrow), fall, text)


@dataclass
class _Stage:
    """What one grid costs."""

    stride: int
    first: Node
    macs: float = 0.0
    depth: int = 0


def _imbalances(graph: Graph) -> Iterator[tuple[int, BrokenPrinciple]]:
    stages = _stages(graph)
    macs, depth = sum(stage.macs for stage in stages), sum(stage.depth for stage in stages)
    for stage in stages:
        if not macs or depth < _DEEP:
            return
        cost, share = stage.macs / macs, stage.depth / depth
        grid = "x".join(map(str, stage.first.output_shape[2:]))
        counts = f"{stage.depth} of {depth} convolutions in a row and {_percent(cost)} of the multiply-adds"
        if cost >= _LARGE_SHARE and share <= cost / _OUT_OF_BALANCE:
            text = f"The {grid} grid has {counts}: wide and shallow. More layers of fewer channels cost the same."
            yield (
                stage.first.index,
                _finding(4, stage.stride, stage.first.name, _layer(stage.first), cost / share, text),
            )
        elif share >= _LARGE_SHARE and cost <= share / _OUT_OF_BALANCE:
            text = f"The {grid} grid has {counts}: deep and thin. Fewer layers of more channels cost the same."
            yield (
                stage.first.index,
                _finding(4, stage.stride, stage.first.name, _layer(stage.first), cost / share, text),
            )


def _stages(graph: Graph) -> list[_Stage]:
    """Multiply-adds and the longest chain of convolutions by grid, in the order in which the grids first appear."""
    strides = find_strides(graph)
    stages: dict[int, _Stage] = {}
    depths: dict[int, dict[int, int]] = {}  # node -> stride -> convolutions on the longest chain to it
    for node in graph.nodes:
        chain: dict[int, int] = {}
        for source in node.inputs:
            for stride, count in depths.get(source, {}).items():
                chain[stride] = max(chain.get(stride, 0), count)
        if node.index in strides and node.operation in _CONVOLUTIONS:
            stride = max(strides[node.index])
            stage = stages.setdefault(stride, _Stage(stride, node))
            stage.macs += _macs(node)
            chain[stride] = chain.get(stride, 0) + 1
            stage.depth = max(stage.depth, chain[stride])
        depths[node.index] = chain
    return list(stages.values())


def _macs(node: Node) -> float:
    """Multiply-adds of a convolution for one picture, from its settings."""
    kernel = float(math.prod(node.settings.get("kernel", (1, 1))))
    inputs = float(node.settings.get("in_channels", 0))
    if node.operation == "separable_conv":
        return node.elements / max(1, node.output_shape[1]) * inputs * (kernel + node.output_shape[1])
    return node.elements * inputs / float(node.settings.get("groups", 1)) * kernel


def _finding(principle: Literal[1, 4], stride: int, where: str, what: str, factor: float, text: str) -> BrokenPrinciple:
    level: Literal["warning", "note"] = "warning" if stride >= _STEM else "note"
    return BrokenPrinciple(principle, level, where, factor, text, what)


def _name(cut: Cut) -> str:
    """The one node's name, or the path of the innermost module that holds them all."""
    if cut.alone:
        return cut.last.name
    scopes = [node.scope for node in cut.nodes]
    common = [parts[0] for parts in zip(*scopes, strict=False) if len(set(parts)) == 1]
    return common[-1].split("#")[0] if common else cut.last.name


def _what(cut: Cut) -> str:
    return _layer(cut.last) if cut.alone else ""


def _layer(node: Node) -> str:
    kernel = node.settings.get("kernel")
    if node.operation in _CONVOLUTIONS and kernel:
        return f"{'x'.join(map(str, kernel))} convolution"
    return node.kind


def _shape(cut: Cut) -> str:
    """ "320 channels at 17x17"; branches on several grids as the channels they would have on the coarsest."""
    shape = cut.last.output_shape
    if cut.alone:
        return f"{shape[1]} channels at {shape[2]}x{shape[3]}"
    grid = min((node.output_shape[2:] for node in cut.nodes), key=math.prod)
    return f"{cut.size * cut.stride**2:.0f} channels at {grid[0]}x{grid[1]} in {len(cut.nodes)} branches"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
