"""The geometry of the drawings: nothing overlaps, nothing is cut off, no line runs through a box or a word."""

import itertools
from collections.abc import Iterator
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from separable.analysis.draw import Page, marks_of, page_of
from separable.analysis.draw.shapes import Line, Rect, Text, text_pixels
from separable.analysis.graph import record_graph
from separable.models import build_model, list_models

Area = tuple[float, float, float, float]
AROUND = ("panel", "frame", "behind")
"""What has other things inside."""


class _Dense(nn.Module):
    """Each layer sees all before it: not in series or parallel, drawn with arcs."""

    def __init__(self, layers: int = 4) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Sequential(nn.Conv2d(3 + 4 * n, 4, 1), nn.ReLU()) for n in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat((x, layer(x)), 1)
        return x


class _Crossing(nn.Module):
    """Two inputs each: cells that take the last two outputs, as NASNet's."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.ModuleList(nn.Conv2d(8, 4, 1) for _ in range(5))
        self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.first(x), self.second(x)
        for cell in self.cells:
            a, b = b, cell(torch.cat((a, b), 1))
        return a + b


class _UShape(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(nn.Conv2d(3 if n == 0 else 4, 4, 3, padding=1) for n in range(3))
        self.up = nn.ModuleList(nn.Conv2d(8, 4, 3, padding=1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for layer in self.down:
            x = F.relu(layer(x))
            kept.append(x)
            x = F.max_pool2d(x, 2)
        for layer in self.up:
            x = layer(torch.cat((F.interpolate(x, scale_factor=2), kept.pop()), 1))
        return x


class _LongNames(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        body = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(3, 3, 1))
        self.add_module("a_name_that_somebody_was_really_fond_of_and_never_shortened_for_anyone", body)

    def forward(self, x: Tensor) -> Tensor:
        return x + next(iter(self.children()))(x)


FOREIGN = {
    "dense": _Dense,
    "crossing": _Crossing,
    "u": _UShape,
    "names": _LongNames,
    "one": lambda: nn.Conv2d(3, 4, 1),
    "tokens": lambda: nn.Sequential(nn.Flatten(2), nn.TransformerEncoderLayer(256, 4, 32, batch_first=True)),
}


@cache
def page(name: str, every_layer: bool) -> Page:
    if name in FOREIGN:
        graph = record_graph(FOREIGN[name](), (1, 3, 16, 16))
    else:
        aux = {"aux_head": True} if name in ("inception_v1", "inception_v3") else {}
        with torch.device("meta"):
            model = build_model(name, **aux)
        graph = record_graph(model, (1, 3, *model.input_contract.size))
    return page_of(graph, name, source="arXiv:0000.00000", every_layer=every_layer, marks=marks_of(graph))


CASES = [
    *((name, False) for name in [*list_models(), *FOREIGN]),
    *((name, True) for name in ("xception", "inception_v3", "resnet50", *FOREIGN)),
]
drawings = pytest.mark.parametrize(("name", "every_layer"), CASES)


def area(shape: Rect | Text) -> Area:
    """Left, top, right, bottom; of a text's capitals and descenders."""
    if isinstance(shape, Rect):
        return shape.x, shape.y, shape.x + shape.width, shape.y + shape.height
    return shape.left, shape.y - 0.74 * shape.size, shape.left + shape.width, shape.y + 0.2 * shape.size


def overlap(a: Area, b: Area, slack: float = 0.5) -> bool:
    return a[0] < b[2] - slack and b[0] < a[2] - slack and a[1] < b[3] - slack and b[1] < a[3] - slack


def boxes(drawing: Page) -> list[Rect]:
    return [s for s in drawing.shapes if isinstance(s, Rect) and s.style not in (*AROUND, "mark", "remark")]


def texts(drawing: Page) -> list[Text]:
    return [shape for shape in drawing.shapes if isinstance(shape, Text) and shape.style != "on-mark"]


def stretches(drawing: Page) -> Iterator[Area]:
    """The straight parts of the lines, as areas without a breadth."""
    for shape in drawing.shapes:
        if isinstance(shape, Line):
            for (x0, y0), (x1, y1) in itertools.pairwise(shape.points):
                assert x0 == x1 or y0 == y1, "lines are upright or level"
                yield min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


@drawings
def test_everything_is_on_the_page(name: str, every_layer: bool) -> None:
    drawing = page(name, every_layer)
    areas = [area(shape) for shape in drawing.shapes if not isinstance(shape, Line)] + list(stretches(drawing))
    assert min(a[0] for a in areas) >= 4
    assert min(a[1] for a in areas) >= 4
    assert max(a[2] for a in areas) <= drawing.width - 4
    assert max(a[3] for a in areas) <= drawing.height


@drawings
def test_no_two_boxes_and_no_two_words_overlap(name: str, every_layer: bool) -> None:
    drawing = page(name, every_layer)
    for group in (boxes(drawing), texts(drawing)):
        ordered = sorted(((area(shape), shape) for shape in group), key=lambda pair: pair[0][1])
        for index, (a, first) in enumerate(ordered):
            for b, second in itertools.takewhile(lambda pair, low=a[3]: pair[0][1] < low, ordered[index + 1 :]):
                assert not overlap(a, b), (first, second)


@drawings
def test_labels_are_inside_their_boxes(name: str, every_layer: bool) -> None:
    drawing = page(name, every_layer)
    labelled = 0
    everything = boxes(drawing)
    for text in texts(drawing):
        own = area(text)
        for box in everything:
            if overlap(own, area(box)):
                labelled += 1
                left, top, right, bottom = area(box)
                inside = left + 2 <= own[0] and own[2] <= right - 2 and top <= own[1] and own[3] <= bottom
                assert inside or box.style == "circle", (text, box)
    assert labelled >= len(everything)


@drawings
def test_frames_and_panels_hold_what_is_in_them(name: str, every_layer: bool) -> None:
    """No frame or panel cuts through a box or a word, and panels do not overlap each other."""
    drawing = page(name, every_layer)
    around = [shape for shape in drawing.shapes if isinstance(shape, Rect) and shape.style in ("frame", "panel")]
    for outer in around:
        edge = area(outer)
        for shape in (*boxes(drawing), *texts(drawing), *around):
            other = area(shape)
            if shape is outer or (isinstance(shape, Rect) and shape.style == "panel" and outer.style == "frame"):
                continue
            within = edge[0] <= other[0] and other[2] <= edge[2] and edge[1] <= other[1] and other[3] <= edge[3]
            assert within or not overlap(edge, other), (outer, shape)


@drawings
def test_lines_run_around_boxes_and_words(name: str, every_layer: bool) -> None:
    drawing = page(name, every_layer)
    obstacles = [area(shape) for shape in (*boxes(drawing), *texts(drawing))]
    for x0, y0, x1, y1 in stretches(drawing):
        for left, top, right, bottom in obstacles:
            through = left + 0.5 < x1 and x0 < right - 0.5 and top + 0.5 < y1 and y0 < bottom - 0.5
            assert not through, ((x0, y0, x1, y1), (left, top, right, bottom))


@drawings
def test_arrows_end_at_something(name: str, every_layer: bool) -> None:
    """At a box's edge or just above the words for the result; each drawing of a module has one that leaves it."""
    drawing = page(name, every_layer)
    edges = [area(shape) for shape in boxes(drawing)]
    said = [area(shape) for shape in texts(drawing)]
    loose = 0
    for line in drawing.shapes:
        if isinstance(line, Line) and line.arrow:
            x, y = line.points[-1]
            at_box = any(
                (abs(y - top) < 1 and left - 1 <= x <= right + 1)
                or (min(abs(x - left), abs(x - right)) < 1 and top <= y <= bottom)
                for left, top, right, bottom in edges
            )
            loose += not (at_box or any(left < x < right and 0 < top - y < 8 for left, top, right, _ in said))
    modules = [shape for shape in drawing.shapes if isinstance(shape, Text) and shape.words == "Previous layer"]
    assert loose == len(modules)


def test_widths_of_words_are_those_of_the_font() -> None:
    """Liberation Sans, 12 px, measured: wider estimates waste room, narrower ones let words run out of boxes."""
    measured = {"Conv 384, 3x3, stride 2x2": 136.1, "GlobalAveragePooling": 119.2, "ReLU": 30.7, "Dense 1000": 64.7}
    for words, width in measured.items():
        assert width <= text_pixels(words) <= 1.12 * width
