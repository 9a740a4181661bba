"""Dots, bands, and the front of a scatter plot, read back from the SVG."""

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separable.analysis.plots import (
    DotRow,
    ScatterPoint,
    Series,
    dot_chart,
    line_chart,
    pareto_front,
    scatter_chart,
)

QUICK = settings(max_examples=60, deadline=None)
COSTS = st.floats(1e-3, 1e9)
POINTS = st.lists(st.builds(ScatterPoint, st.just("p"), st.sampled_from([1.0, 2.0, 3.0, 5.0]) | COSTS,
                            st.sampled_from([0.1, 0.2, 0.5]) | st.floats(0, 1)), max_size=12)  # fmt: skip


def found(markup: str, tag: str, kind: str) -> list[ET.Element]:
    root = ET.fromstring(markup)
    return [one for one in root.iter() if one.tag.endswith(tag) and kind in (one.get("class") or "").split()]


@QUICK
@given(POINTS, st.booleans())
def test_front_by_definition(points: list[ScatterPoint], higher: bool) -> None:
    sign = 1 if higher else -1

    def beaten(one: ScatterPoint) -> bool:
        return any(
            other.cost <= one.cost
            and sign * other.value >= sign * one.value
            and (other.cost, other.value) != (one.cost, one.value)
            for other in points
        )

    front = pareto_front(points, higher=higher)
    assert sorted((p.cost, p.value) for p in front) == sorted((p.cost, p.value) for p in points if not beaten(p))
    assert [p.cost for p in front] == sorted(p.cost for p in front)


@QUICK
@given(POINTS)
def test_scatter_of_anything(points: list[ScatterPoint]) -> None:
    drawn = scatter_chart(points, name="top-1", x_label="cost", write_x="{:g}".format)
    dots = found(drawn, "circle", "dot")
    assert len(dots) == len(points)
    for dot in dots:
        assert 50 <= float(dot.get("cx", "")) <= 364
        assert 28 <= float(dot.get("cy", "")) <= 238


def test_those_behind_the_front_are_grey() -> None:
    points = [ScatterPoint("a", 1, 0.5), ScatterPoint("b", 10, 0.9), ScatterPoint("c", 100, 0.6)]
    drawn = scatter_chart(points, name="top-1", x_label="cost", write_x="{:g}".format)
    assert ["muted" in (dot.get("class") or "") for dot in found(drawn, "circle", "dot")] == [False, False, True]
    a, b, c = (float(dot.get("cx", "")) for dot in found(drawn, "circle", "dot"))
    assert b - a == pytest.approx(c - b, abs=0.02), "a decade is a decade"
    labels = {one.text for one in found(drawn, "text", "name")}
    assert {"a", "b", "c"} <= labels


def test_names_do_not_cover_each_other() -> None:
    points = [ScatterPoint(f"network {k}", 100 + k % 3, 0.5 + k / 5000) for k in range(12)]
    drawn = scatter_chart(points, name="top-1", x_label="cost", write_x="{:g}".format)
    boxes = [(float(one.get("x", "")), float(one.get("y", ""))) for one in found(drawn, "text", "halo")]
    assert boxes
    for index, (x, y) in enumerate(boxes):
        assert all(abs(y - b) >= 13 or abs(x - a) >= 6.6 * 9 for a, b in boxes[:index])


def test_dots_lie_where_the_axis_says() -> None:
    rows = [DotRow("one", 0.2, (0.1, 0.4), (0.15, 0.25)), DotRow("two", 0.6), DotRow("none", float("nan"), note="why")]
    drawn = dot_chart(rows, name="share")
    ticks = {one.text: float(one.get("x", "")) for one in found(drawn, "text", "tick-x")}
    scale = (ticks["0.6"] - ticks["0.2"]) / 0.4
    dots = [float(one.get("cx", "")) for one in found(drawn, "circle", "dot")]
    assert dots == pytest.approx([ticks["0.2"], ticks["0.6"]], abs=0.02)
    singles = [float(one.get("cx", "")) for one in found(drawn, "circle", "spot")]
    assert singles == pytest.approx([ticks["0.2"] - 0.05 * scale, ticks["0.2"] + 0.05 * scale], abs=0.02)
    (whisker,) = found(drawn, "path", "whisker")
    low, high = (float(x) for x in re.findall(r"M([\d.]+) [\d.]+V", whisker.get("d", "")))
    assert (low, high) == pytest.approx((ticks["0.2"] - 0.1 * scale, ticks["0.4"]), abs=0.1)
    assert "why" in "".join(ET.fromstring(drawn).itertext())


@QUICK
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=6))
def test_dots_of_any_values(values: list[float]) -> None:
    ET.fromstring(dot_chart([DotRow("x", one, (one, one), (one,)) for one in values], name="n"))


def test_bands_are_inside_the_frame() -> None:
    points = [(1.0, 0.5), (2.0, 0.6), (3.0, 0.7)]
    band = [(x, y - 0.2, y + 0.4) for x, y in points]
    drawn = line_chart([Series("a", points, band=band, dashed=True)], name="n", x_label="epoch")
    (path,) = found(drawn, "path", "band")
    numbers = [float(one) for one in re.findall(r"[\d.]+", path.get("d", ""))]
    assert len(numbers) == 12
    (curve,) = found(drawn, "path", "dashed")
    line = [float(one) for one in re.findall(r"[\d.]+", curve.get("d", ""))]
    assert numbers[0:6:2] == line[0::2]
    upper, lower = numbers[1:6:2], numbers[11:6:-2]
    for high, middle, low in zip(upper, line[1::2], lower, strict=True):
        assert high < middle < low
        assert (middle - high) == pytest.approx(2 * (low - middle), abs=0.3)
    assert min(numbers[1::2]) >= 26
    assert not found(line_chart([Series("a", points)], name="n", x_label="e"), "path", "band")
