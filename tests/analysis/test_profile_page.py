"""The page says what was measured, fetches nothing, stays well-formed whatever the names, and adds up."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from xml.etree.ElementTree import Element, fromstring

import pytest
import torch
from torch import Tensor, nn

from separable.analysis.graph import record_graph
from separable.analysis.measuring import count_only, measure
from separable.analysis.plots import (
    LimitRow,
    Roof,
    RooflinePoint,
    ShareRow,
    limit_chart,
    roofline_plot,
    share_chart,
)
from separable.analysis.plots.scales import LogScale
from separable.analysis.principles import find_broken_principles
from separable.analysis.profile_page import Subject, profile_page
from separable.analysis.profile_page.wording import milliseconds, share, size
from separable.analysis.stages import stages_of
from separable.analysis.timing import CpuWatch
from separable.machine.ceilings import Ceilings
from separable.models import build_model

XHTML = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"
CEILINGS = Ceilings("cpu", "A <fast> processor", 2, {"fp32": 2e9}, ((10**4, 4e9), (10**8, 1e9)), {"torch": "x"})
SHAPE = (1, 3, 64, 64)


class Ticking:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def subject(model: nn.Module, shape: Sequence[int] = SHAPE, measured: bool = True, **more: object) -> Subject:
    times = measure(model, shape, CEILINGS, watch=CpuWatch(Ticking()), budget=0.0) if measured else None
    counted, layers = (times.profile, times.layers) if times else count_only(model, shape, "fp32")
    found = find_broken_principles(record_graph(model, shape))
    environment = {"python": "3.11", "packages": {"torch": "2.13", "numpy": None}, "system": "Test <1>"}
    made = Subject("a net", counted, layers, times, found, "", environment)
    return replace(made, **more)  # type: ignore[arg-type]


def parse(page: str) -> Element:
    assert page.startswith("<!DOCTYPE html>\n")
    return fromstring(page.partition("\n")[2])


def words(node: Element) -> str:
    return re.sub(r"\s+", " ", " ".join(node.itertext()))


def part(page: Element, anchor: str) -> Element:
    return next(node for node in page.iter(XHTML + "section") if node.get("id") == anchor)


@pytest.fixture(scope="module")
def page() -> Element:
    return parse(profile_page(subject(build_model("mobilenet_v1", 3, width=0.1))))


def test_the_page_stands_alone(page: Element) -> None:
    links = [node.get("href") or node.get("src") for node in page.iter() if node.get("href") or node.get("src")]
    assert links
    assert all(str(link).startswith("#") for link in links)
    policy = next(node for node in page.iter(XHTML + "meta") if node.get("http-equiv") == "Content-Security-Policy")
    assert str(policy.get("content")).startswith("default-src 'none'")
    anchors = {node.get("id") for node in page.iter(XHTML + "section")}
    assert {str(link)[1:] for link in links} == anchors
    assert anchors == {"stages", "kinds", "limits", "roofline", "principles", "layers", "setup"}


def test_every_layer_is_in_the_table_with_its_numbers() -> None:
    about = subject(build_model("mobilenet_v1", 3, width=0.1))
    assert about.measured is not None
    section = part(parse(profile_page(about)), "layers")
    body = section.find(f".//{XHTML}tbody")
    assert body is not None
    rows = [list(row) for row in body]
    assert len(rows) == len(about.layers) + 1
    assert [row[0].text for row in rows] == [*(layer.name for layer in about.layers), "outside of layers"]
    for column, total in ((3, about.profile.parameters), (4, about.profile.macs), (6, about.profile.bytes)):
        assert sum(float(row[column].get("data-value") or 0) for row in rows) == pytest.approx(total, rel=1e-6)
    shown = sum(float(row[7].get("data-value") or 0) for row in rows)
    assert shown == pytest.approx(about.measured.watched, rel=1e-6), "layers and what is outside make the whole"


def test_conditions_are_stated(page: Element) -> None:
    setup = words(part(page, "setup"))
    for fact in (
        "1\u00d73\u00d764\u00d764",
        "fp32",
        "A <fast> processor, 2 threads",
        "evaluation",
        "Python 3.11, torch 2.13",
    ):
        assert fact in setup
    assert "training was not measured" in setup


def test_shares_of_each_column_add_up_to_one() -> None:
    about = subject(build_model("mobilenet_v1", 3, width=0.1))
    assert about.measured is not None
    for parts in (about.by_stage, about.by_kind):
        assert sum(one.seconds for one in parts) == pytest.approx(about.measured.watched)
        assert sum(len(one.layers) for one in parts) == len(about.layers)
        assert parts[-1].label == "outside of layers"
    assert [one.label for one in about.by_stage][:3] == ["conv1", "block1", "block2"]


def test_without_times_there_are_counts_alone() -> None:
    page = parse(profile_page(subject(build_model("mobilenet_v1", 3, width=0.1), measured=False)))
    assert {node.get("id") for node in page.iter(XHTML + "section")} == {
        "stages", "kinds", "principles", "layers", "setup",
    }  # fmt: skip
    assert "Nothing was run" in words(next(page.iter(XHTML + "header")))
    assert "outside of layers" not in words(page)
    assert "nan" not in words(page).lower().split()


def test_findings_stand_on_the_page_warnings_first() -> None:
    model = build_model("mobilenet_v1", 3, width=0.25)
    section = words(part(parse(profile_page(subject(model, (1, 3, 224, 224), measured=False))), "principles"))
    assert section.index("block6.depthwise.conv") < section.index("block4.depthwise.conv, in the stem")
    assert "Principle 1, avoid representational bottlenecks" in section
    clean = subject(build_model("mobilenet_v1", 3, width=0.1), measured=False, findings=())
    assert "No place in this network breaks them." in words(part(parse(profile_page(clean)), "principles"))
    missing = subject(nn.Linear(3, 3), (1, 3), measured=False, findings_missing="It <cannot> be recorded.")
    assert "It <cannot> be recorded." in words(part(parse(profile_page(missing)), "principles"))


class _Odd(nn.Module):
    """Names that are markup, a layer that is shared, one that never runs, an input that is no picture."""

    def __init__(self) -> None:
        super().__init__()
        self.add_module("<script>alert(1)</script>&\u202e", nn.Linear(4, 4))
        self.shared, self.spare = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        first = next(self.children())
        return torch.cat([self.shared(self.shared(first(x))), x], 1)


@pytest.mark.parametrize("measured", [True, False])
def test_anybodys_network(measured: bool) -> None:
    text = profile_page(subject(_Odd(), (2, 4), measured, name='"><script>'))
    assert text.count("<script>") == 1
    page = parse(text)
    table = words(part(page, "layers"))
    assert "<script>alert(1)</script>&" in table
    assert "shared (call 2)" in table
    assert "not run" in table


def test_a_module_that_does_nothing() -> None:
    page = parse(profile_page(subject(nn.Identity(), (1, 3))))
    assert "0 rows" in words(part(page, "layers"))


def test_a_disturbed_measurement_says_so() -> None:
    about = subject(build_model("mobilenet_v1", 3, width=0.1))
    assert about.measured is not None
    assert "Something else used this machine" not in profile_page(about)
    disturbed = replace(about, measured=replace(about.measured, whole=2 * about.measured.watched))
    assert "Something else used this machine" in profile_page(disturbed)


def drawn(svg: str, css_class: str) -> list[Element]:
    return [node for node in fromstring(svg).iter() if css_class in (node.get("class") or "").split()]


def test_share_bars_are_as_long_as_their_shares() -> None:
    rows = [ShareRow("a", [0.5, 0.25]), ShareRow("b", [0.125, math.nan]), ShareRow("c", [0.0, 0.0005])]
    svg = share_chart(rows, ["one", "two"], name="x")
    widths = [float(bar.get("width") or 0) for bar in drawn(svg, "bar")]
    assert widths == pytest.approx([2 * widths[1], widths[1], widths[0] / 4, 0, 0.001 * widths[0]], abs=0.02)
    assert widths[0] == pytest.approx(float(drawn(svg, "track")[0].get("width") or 0)), "the largest fills its column"
    texts = [node.text for node in fromstring(svg).iter(SVG + "text")]
    assert {"50.0%", "25.0%", "12.5%", "0", "<0.1%"} <= set(texts)
    assert "most one in a (50%)" in svg
    assert "nothing recorded" in share_chart([], [], name="x")


def test_limits_are_drawn_inside_and_beyond_their_bars() -> None:
    svg = limit_chart([LimitRow("a", 4.0, 1.0), LimitRow("b", 1.0, 2.0)], name="ms")
    full = [float(bar.get("width") or 0) for bar in drawn(svg, "full")]
    bars = [float(bar.get("width") or 0) for bar in drawn(svg, "muted")]
    assert full == pytest.approx([bars[0] / 4, bars[1]], abs=0.02)
    assert bars[1] == pytest.approx(bars[0] / 4, abs=0.02)
    (tip,) = drawn(svg, "tip")
    assert float(tip.get("x") or 0) == pytest.approx(
        float(drawn(svg, "muted")[0].get("x") or 0) + bars[0] / 2 - 1, abs=0.02
    )
    assert "nothing recorded" in limit_chart([], name="ms")


def test_a_point_at_the_ridge_lies_on_the_bend_of_the_roof() -> None:
    roof = Roof("top", 1e9, 1e8, 4e8)
    svg = roofline_plot([RooflinePoint("ridge", 10.0, 1e9, 0.25), RooflinePoint("low", 0.5, 2e7, 0.01)], roof)
    heavy, light = drawn(svg, "spot")
    bend = re.search(r"L([\d.]+) ([\d.]+)H", drawn(svg, "accent")[0].get("d") or "")
    assert bend is not None
    assert [float(heavy.get("cx") or 0), float(heavy.get("cy") or 0)] == pytest.approx(
        [float(bend[1]), float(bend[2])], abs=0.1
    )
    assert float(heavy.get("r") or 0) == pytest.approx(5 * float(light.get("r") or 0), rel=0.01), "areas are times"
    assert drawn(svg, "guide"), "the cache's roof"
    assert "nothing recorded" in roofline_plot([RooflinePoint("x", math.nan, 0.0, 1.0)], roof)


def test_logarithmic_scales() -> None:
    scale = LogScale((0.1, 1000.0), (0.0, 400.0))
    assert [scale(value) for value in (0.1, 1.0, 1000.0)] == pytest.approx([0.0, 100.0, 400.0])
    assert scale.decades == pytest.approx([0.1, 1.0, 10.0, 100.0, 1000.0])


def test_stages_are_the_parts_a_reader_thinks_in() -> None:
    names = ["stem.conv", "blocks.0.a", "blocks.0.b", "blocks.1.a", "head"]
    shapes = [(1, 8, 8, 8)] * 4 + [(1, 10)]
    assert stages_of(names, shapes, [1, 1, 1, 1, 1]) == ["stem", "blocks.0", "blocks.0", "blocks.1", "head"]
    assert stages_of(names, shapes, [9, 1, 1, 1, 1])[0] == "stem.conv", "what holds most is taken apart"
    many = [f"block{number}.conv" for number in range(1, 26)]
    assert set(stages_of(many, [(1, 8, 8, 8)] * 25, [1.0] * 25)) == {"block1\N{EN DASH}25"}
    flat = [f"layer{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(40)]
    grids = [(1, 8, 8, 8)] * 20 + [(1, 8, 4, 4)] * 19 + [(1, 10)]
    assert set(stages_of(flat, grids, [1.0] * 40)) == {"at 8x8", "at 4x4", "vectors"}
    assert stages_of([], [], []) == []


def test_wording() -> None:
    assert [milliseconds(s) for s in (0.2134, 0.00842, 0.0000312, 12.0, math.nan)] == [
        "213 ms", "8.42 ms", "0.031 ms", "12 s", "\N{EN DASH}",
    ]  # fmt: skip
    assert [share(s) for s in (0.474, 0.023, 1.5, math.nan)] == ["47%", "2.3%", "150%", "\N{EN DASH}"]
    assert [size(b) for b in (12, 1530, 1_530_000)] == ["12 B", "1.53 kB", "1.53 MB"]


def test_names_in_the_roofline_leave_other_circles_to_be_seen() -> None:
    """Right of its circle a name would lie on a heavier one: it stands at the left; between two such, above."""
    corners = [RooflinePoint("low", 0.1, 1e7, 0.0), RooflinePoint("high", 1000.0, 1e7, 0.0)]  # the axes stay the same
    middle = RooflinePoint("the middle", 10.0, 1e9, 0.05)
    right, left = RooflinePoint("right", 25.0, 1e9, 0.2), RooflinePoint("left", 4.0, 1e9, 0.2)

    def place(*others: RooflinePoint) -> tuple[float, float]:
        svg = roofline_plot([middle, *others, *corners], Roof("roof", 1e10, 1e9), named=3)
        (found,) = [text for text in fromstring(svg).iter(f"{SVG}text") if text.text == middle.label]
        return float(found.get("x") or 0), float(found.get("y") or 0)

    alone, beside, between = place(), place(right), place(right, left)
    assert beside[0] < alone[0] - 80
    assert beside[1] == alone[1]
    assert between[1] < alone[1] - 8
