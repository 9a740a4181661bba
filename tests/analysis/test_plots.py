"""The plots: well-formed SVG, round ticks, values where the printed axis says they are, and colours one can see."""

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separable.analysis.plots import (
    Bar,
    Marker,
    ReliabilityBin,
    Series,
    bar_chart,
    heat_map,
    line_chart,
    reliability_diagram,
)
from separable.analysis.plots.heat import shade
from separable.analysis.plots.markup import Markup, element, join, plain, shorten, text_width
from separable.analysis.plots.scales import Scale, format_tick, nice_ticks
from separable.analysis.plots.style import THEMES

HOSTILE = '</text><script>alert("1")</script>&amp;\x00\x1b\udcff\u202e\'"'
NAN, INF = math.nan, math.inf
Element = ElementTree.Element


def parse(svg: str) -> Element:
    assert isinstance(svg, Markup)
    root = ElementTree.fromstring(svg.encode("utf-8"))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("role") == "img"
    assert root.get("aria-label")
    for node in root.iter():
        for value in node.attrib.values():
            assert not re.search(r"\b(nan|inf)\b", value), f"{node.tag} {node.attrib}"
    return root


def drawn(root: Element, css_class: str) -> list[Element]:
    return [node for node in root.iter() if css_class in (node.get("class") or "").split()]


def number(text: str | None) -> float:
    assert text is not None
    return float(text.replace("\N{MINUS SIGN}", "-").rstrip("%"))


def axis_of(root: Element, css_class: str, coordinate: str) -> Scale:
    """The scale a reader would infer: the line through the first and the last labelled tick."""
    ticks = [(number(t.text), number(t.get(coordinate))) for t in drawn(root, css_class)]
    (low, start), (high, end) = ticks[0], ticks[-1]
    shift = -4 if coordinate == "y" else 0  # labels stand 4 px below the line they name
    assert (high > low) == (end > start if coordinate == "x" else end < start), "upwards and to the right is more"
    return Scale((low, high), (start + shift, end + shift))


# ticks


bounds = st.floats(-1e12, 1e12, allow_nan=False).filter(lambda v: v == 0 or abs(v) > 1e-9)


@settings(deadline=None)
@given(bounds, bounds, st.integers(2, 9))
def test_ticks_are_round_even_and_cover_the_values(a: float, b: float, count: int) -> None:
    low, high = min(a, b), max(a, b)
    ticks = nice_ticks(a, b, count)
    steps = [y - x for x, y in pairwise(ticks)]
    assert 2 <= len(ticks) <= count + 2
    slack = 1e-6 * max(steps)
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert max(steps) == pytest.approx(min(steps), rel=1e-3)
    mantissa = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-6)
    assert min(abs(mantissa - nice) for nice in (1, 2, 5)) < 1e-2


@settings(deadline=None)
@given(bounds, bounds, st.integers(2, 9))
def test_tick_labels_differ_and_say_the_value(a: float, b: float, count: int) -> None:
    ticks = nice_ticks(a, b, count)
    labels = [format_tick(tick, ticks) for tick in ticks]
    assert len(set(labels)) == len(labels), labels
    step = ticks[1] - ticks[0]
    for tick, label in zip(ticks, labels, strict=True):
        assert number(label) == pytest.approx(tick, abs=0.01 * step)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0.13, 2.4, ["0", "0.5", "1.0", "1.5", "2.0", "2.5"]),
        (-3, 7, ["\N{MINUS SIGN}4", "\N{MINUS SIGN}2", "0", "2", "4", "6", "8"]),
        (0, 4.5e-4, ["0", "0.0001", "0.0002", "0.0003", "0.0004", "0.0005"]),
    ],
)
def test_ticks_by_example(low: float, high: float, expected: list[str]) -> None:
    ticks = nice_ticks(low, high)
    assert [format_tick(t, ticks) for t in ticks] == expected


@pytest.mark.parametrize(("low", "high"), [(NAN, 1), (0, INF), (-INF, INF), (1e308, -1e308), (3, 3), (0, 0)])
def test_ticks_survive_any_bounds(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert len(ticks) >= 2
    assert ticks == sorted(ticks)
    assert all(math.isfinite(tick) for tick in ticks)


@settings(deadline=None)
@given(st.integers(0, 500), st.integers(0, 500))
def test_whole_ticks_are_whole(a: int, b: int) -> None:
    assert all(tick == int(tick) for tick in nice_ticks(a, b, whole=True) if a != b)


# line chart


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 300, allow_nan=False), st.floats(-50, 2000, allow_nan=False)), min_size=1, max_size=30
    )
)
def test_points_lie_where_the_axes_say(points: list[tuple[float, float]]) -> None:
    root = parse(line_chart([Series("loss", sorted(points))], name="loss", x_label="epoch", x_range=(0, 300)))
    x_axis, y_axis = axis_of(root, "tick-x", "x"), axis_of(root, "tick-y", "y")
    hits = drawn(root, "hit")
    assert len(hits) == len(points)
    for node, (x, y) in zip(hits, sorted(points), strict=True):
        assert number(node.get("cx")) == pytest.approx(x_axis(x), abs=0.02)
        assert number(node.get("cy")) == pytest.approx(y_axis(y), abs=0.05)


def test_the_curve_runs_through_its_points_and_breaks_at_nan() -> None:
    points = [(0, 1.0), (1, 2.0), (2, NAN), (3, INF), (4, 4.0), (5, 3.0), (6, NAN), (7, 1.0)]
    root = parse(line_chart([Series("a", points)], name="loss", x_label="epoch"))
    curves = drawn(root, "curve")
    assert [len(c.get("d", "").split("L")) for c in curves] == [2, 2]
    assert len(drawn(root, "dot")) == 1  # the lone point after the last NaN would be no line
    x_axis, y_axis = axis_of(root, "tick-x", "x"), axis_of(root, "tick-y", "y")
    vertices = [tuple(map(float, v.split())) for c in curves for v in c.get("d", "").lstrip("M").split("L")]
    for vertex, (x, y) in zip(vertices, [points[0], points[1], points[4], points[5]], strict=True):
        assert vertex == pytest.approx((x_axis(x), y_axis(y)), abs=0.06)


@pytest.mark.parametrize("points", [[], [(0, NAN)], [(NAN, 1)], [(0, INF), (1, -INF)], [(0, 1e308)]])
def test_nothing_to_draw_says_so(points: list[tuple[float, float]]) -> None:
    root = parse(line_chart([Series("a", points)], name="loss", x_label="epoch"))
    assert "nothing recorded" in "".join(root.itertext())
    assert not drawn(root, "curve")


def test_one_point_is_seen() -> None:
    root = parse(
        line_chart([Series("a", [(3, 0.25)])], name="loss", x_label="epoch", markers=[Marker(3, 0.25, "best")])
    )
    (dot,) = drawn(root, "dot")
    (ring,) = drawn(root, "ring")
    assert (dot.get("cx"), dot.get("cy")) == (ring.get("cx"), ring.get("cy"))


def test_end_labels_do_not_cover_each_other() -> None:
    lines = [Series(f"line {i}", [(0, 1), (1, 2 + i * 1e-3)]) for i in range(3)]
    root = parse(line_chart(lines, name="loss", x_label="epoch"))
    heights = sorted(number(node.get("y")) for node in drawn(root, "strong"))
    assert all(below - above >= 12 for above, below in pairwise(heights))


def test_end_labels_stay_above_the_axis() -> None:
    lines = [Series(f"line {i}", [(0, 1), (1, i * 1e-3)]) for i in range(3)]
    root = parse(line_chart(lines, name="loss", x_label="epoch"))
    bottom = number(drawn(root, "axis")[0].get("y1"))
    assert max(number(node.get("y")) for node in drawn(root, "strong")) <= bottom


def test_a_long_line_stays_a_small_file() -> None:
    points = [(i, math.sin(i)) for i in range(100_000)]
    hovers = drawn(parse(line_chart([Series("a", points[:500])], name="n", x_label="x")), "hit")
    assert len(hovers) <= 120


# heat map


def test_cells_are_placed_and_shaded_by_their_row() -> None:
    counts = [[8, 2, 0], [0, 5, 5], [0, 0, 0]]
    root = parse(heat_map(counts, ["a", "b", "c"]))
    titled = {str(next(iter(n)).text): n for n in drawn(root, "cell") if len(n)}
    assert len(titled) == 4  # the empty cells are not drawn
    kept = titled["a taken for a: 8 of 10 (80%)"]
    wrong = titled["a taken for b: 2 of 10 (20%)"]
    half = titled["b taken for b: 5 of 10 (50%)"]
    cell = number(wrong.get("x")) - number(kept.get("x"))
    assert number(wrong.get("y")) == number(kept.get("y"))
    assert number(half.get("x")) == number(wrong.get("x"))
    assert number(half.get("y")) - number(wrong.get("y")) == pytest.approx(cell)
    shades = [number(n.get("fill-opacity")) for n in (wrong, half, kept)]
    assert shades == sorted(shades)
    assert shades == pytest.approx([shade(0.2), shade(0.5), shade(0.8)], abs=1e-3)
    assert [n.text for n in [*drawn(root, "on-low"), *drawn(root, "on-mid"), *drawn(root, "on-high")]].count("5") == 2


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_shade_rises_with_the_share(a: float, b: float) -> None:
    assert (shade(a) <= shade(b)) == (a <= b) or shade(a) == shade(b)
    assert 0 <= shade(a) <= 1


@pytest.mark.parametrize("n", [0, 1, 2, 40])
def test_heat_map_of_any_size(n: int) -> None:
    counts = [[3 if i == j else 1 for j in range(n)] for i in range(n)]
    root = parse(heat_map(counts, [HOSTILE] * n, write_counts=n < 20))
    assert not [node for node in root.iter() if node.tag.endswith("script")]


# reliability diagram and bars


def test_reliability_points_lie_where_the_axes_say() -> None:
    bins = [ReliabilityBin(0.4, 0.5, 0.45, 0.3, 10, (0.1, 0.6)), ReliabilityBin(0.9, 1, 0.97, 0.8, 40, (0.7, 0.9))]
    root = parse(reliability_diagram(bins))
    x_axis, y_axis = axis_of(root, "tick-x", "x"), axis_of(root, "tick-y", "y")
    for dot, whisker, item in zip(drawn(root, "dot"), drawn(root, "whisker"), bins, strict=True):
        assert number(dot.get("cx")) == pytest.approx(x_axis(item.confidence * 100), abs=0.02)
        assert number(dot.get("cy")) == pytest.approx(y_axis(item.accuracy * 100), abs=0.02)
        assert item.interval is not None
        ends = [number(whisker.get("y1")), number(whisker.get("y2"))]
        assert ends == pytest.approx([y_axis(end * 100) for end in item.interval], abs=0.02)
    heights = [number(bar.get("height")) for bar in drawn(root, "bar")]
    assert heights[0] * 4 == pytest.approx(heights[1], abs=0.05)


@pytest.mark.parametrize("bins", [[], [ReliabilityBin(0, 1, NAN, NAN, 0)], [ReliabilityBin(0, 1, NAN, 0.5, 3)]])
def test_reliability_of_nothing(bins: list[ReliabilityBin]) -> None:
    assert "nothing recorded" in "".join(parse(reliability_diagram(bins)).itertext())


def test_bars_are_as_long_as_their_values() -> None:
    root = parse(bar_chart([Bar("a", 0.5, (0.25, 0.75)), Bar("b", 1.0), Bar("c", NAN)], name="recall", domain=(0, 1)))
    half, whole = drawn(root, "bar")
    assert number(half.get("width")) * 2 == pytest.approx(number(whole.get("width")), abs=0.02)
    numbers = [float(v) for v in re.findall(r"[MH]([\d.]+)", drawn(root, "whisker")[0].get("d", ""))]
    start, length = number(half.get("x")), number(whole.get("width"))
    assert (min(numbers), max(numbers)) == pytest.approx((start + length / 4, start + length * 3 / 4), abs=0.1)
    assert [node.text for node in drawn(root, "value")] == ["0.5", "1", "\N{EN DASH}"]


@pytest.mark.parametrize("values", [[], [NAN], [INF, -INF], [-3.0, 5.0], [0.0]])
def test_bars_of_any_values(values: list[float]) -> None:
    root = parse(bar_chart([Bar(HOSTILE, v) for v in values], name="n"))
    assert all(number(bar.get("width")) >= 0 for bar in drawn(root, "bar"))


# markup


@settings(deadline=None)
@given(st.text(st.characters(codec=None)))
def test_any_text_comes_back_from_the_parser(text: str) -> None:
    tree = ElementTree.fromstring(element("p", text, title=text).encode("utf-8"))
    expected = plain(text)
    assert (tree.text or "").replace("\r\n", "\n") == expected.replace("\r\n", "\n").replace("\r", "\n")
    assert len(tree) == 0


def test_only_markup_is_left_alone() -> None:
    assert element("b", "<i>", Markup("<i/>"), None, class_="a b", data_n=1.50) == (
        '<b class="a b" data-n="1.5">&lt;i&gt;<i/></b>'
    )
    assert join("a", "&") == "a&amp;"
    assert element("td") == "<td></td>"
    assert element("img", src='x" onerror="y') == '<img src="x&quot; onerror=&quot;y"/>'


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=60), st.integers(3, 30))
def test_shortened_text_fits(text: str, columns: int) -> None:
    short = shorten(text, columns)
    assert text_width(short) <= columns
    assert short == text or "\N{HORIZONTAL ELLIPSIS}" in short


@settings(deadline=None)
@given(st.text("ab日本\u0301\u200d", max_size=40), st.integers(3, 20))
def test_shortened_text_keeps_as_much_of_both_ends_as_fits(text: str, columns: int) -> None:
    short = shorten(text, columns)
    if short != text:
        head, tail = short.split("\N{HORIZONTAL ELLIPSIS}")
        starts = [text[:end] for end in range(len(text) + 1)]
        ends = [text[start:] for start in range(len(text) + 1)]
        assert head == max((s for s in starts if text_width(s) <= columns // 2), key=len)
        assert tail == max((s for s in ends if text_width(s) <= columns - columns // 2 - 1), key=len)


def test_a_long_text_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file name in a damaged table may be megabytes long, and would be looked at once per letter cut off."""
    looked_at = 0

    def counted(text: str) -> int:
        nonlocal looked_at
        looked_at += len(text)
        return text_width(text)

    monkeypatch.setattr("separable.analysis.plots.markup.text_width", counted)
    assert shorten("a" * 20_000 + "b", 11) == "aaaaa\N{HORIZONTAL ELLIPSIS}aaaab"
    assert looked_at < 3 * 20_000


# colours


def luminance(colour: Sequence[float]) -> float:
    """Relative luminance of WCAG 2.1."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: Sequence[float], b: Sequence[float]) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def rgb(text: str) -> list[float]:
    return [int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)]


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("background", ["page", "panel", "wash"])
def test_text_can_be_read(theme: str, background: str) -> None:
    colours = THEMES[theme]
    for name in ("ink", "soft", "accent"):
        assert contrast(rgb(colours[name]), rgb(colours[background])) >= 4.5, name


@pytest.mark.parametrize("theme", THEMES)
def test_heat_map_numbers_can_be_read_in_every_cell(theme: str) -> None:
    colours = THEMES[theme]
    page, accent = rgb(colours["page"]), rgb(colours["accent"])
    previous = luminance(page)
    for percent in range(101):
        root = parse(heat_map([[percent, 100 - percent], [0, 1]], ["a", "b"]))
        label = next((n for n in root.iter() if n.text == str(percent) and "on-" in (n.get("class") or "")), None)
        opacity = shade(percent / 100)
        cell = [p + (a - p) * opacity for p, a in zip(page, accent, strict=True)]
        if label is not None:
            assert contrast(cell, rgb(colours[str(label.get("class"))])) >= 4.5, percent
        # Told apart by lightness alone, so no kind of colour vision is needed.
        assert (luminance(cell) <= previous) if theme == "light" else (luminance(cell) >= previous)
        previous = luminance(cell)
