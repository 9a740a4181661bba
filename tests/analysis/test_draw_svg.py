"""The drawings as files: sound SVG in both themes, the same to the byte, findings at their places, names as printed."""

import re
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from separable.analysis.draw import Mark, draw_graph, marks_of, page_of, title_of
from separable.analysis.draw.labels import shape_text
from separable.analysis.draw.names import FIGURES, readable_kind
from separable.analysis.draw.shapes import Rect, Text
from separable.analysis.graph import record_graph
from separable.models import build_model, list_models
from tests.analysis.test_draw import graph_of

SVG = "{http://www.w3.org/2000/svg}"


def svg_of(theme: Any = "auto", marks: Sequence[Mark] = ()) -> str:
    return draw_graph(graph_of("mobilenet_v1"), "<Mobile & Net>", source="arXiv", theme=theme, marks=marks)


def test_svg_is_sound_and_says_what_it_is() -> None:
    svg = svg_of()
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert root.findtext(f"{SVG}title") == "<Mobile & Net>"
    assert root.get("aria-label") == "<Mobile & Net>: arXiv, input 224x224x3, 4,231,976 parameters"
    assert {node.text for node in root.iter(f"{SVG}text")} >= {"block7 to block11", "GlobalAveragePooling"}
    assert not re.search(r"https?://(?!www\.w3\.org)", svg), "self-contained"
    assert "<script" not in svg
    hover = [rect.findtext(f"{SVG}title") or "" for rect in root.iter(f"{SVG}rect")]
    assert (
        "block1.depthwise.conv, block1.depthwise.bn, block1.depthwise.act: 32x112x112 (channels first), 352 parameters"
        in hover
    )


def test_themes() -> None:
    auto, light, dark = (svg_of(theme) for theme in ("auto", "light", "dark"))
    assert auto.count("--page:") == 2
    assert "@media (prefers-color-scheme:dark)" in auto
    for one, other in ((light, dark), (dark, light)):
        assert one.count("--page:") == 1
        assert "@media" not in one
        assert one.split("</style>")[1] == other.split("</style>")[1] == auto.split("</style>")[1]
    values = [re.findall(r"--page:(#\w+)", svg) for svg in (auto, light, dark)]
    assert values[0] == values[1] + values[2]
    assert values[1] != values[2]
    used = set(re.findall(r"var\(--([\w-]+)\)", auto))
    assert used <= set(re.findall(r"--([\w-]+):", light)) & set(re.findall(r"--([\w-]+):", dark))
    classes = {name for value in re.findall(r'class="([^"]+)"', auto.split("</style>")[1]) for name in value.split()}
    assert all(f".{name}" in auto.split("</style>")[0] for name in classes)


def test_the_same_to_the_byte() -> None:
    def fresh() -> str:
        model = build_model("inception_v1", width=0.1, aux_head=True)
        return draw_graph(record_graph(model, (1, 3, 224, 224)), "one")

    assert fresh() == fresh()


def test_marks_stand_at_their_places() -> None:
    graph = graph_of("mobilenet_v1")
    marks = marks_of(graph)
    assert [(mark.where, mark.level) for mark in marks] == [
        ("block4.depthwise.conv", "note"),
        ("block6.depthwise.conv", "warning"),
        ("block12.depthwise.conv", "warning"),
    ]
    shapes = page_of(graph, "net", marks=marks).shapes
    dots = [shape for shape in shapes if isinstance(shape, Rect) and shape.style in ("mark", "remark")]
    assert len(dots) == 6, "one at the place and one in the legend for each"
    (box,) = [s for s in shapes if isinstance(s, Rect) and s.style == "depthwise" and marks[1].where in s.names]
    assert any(abs(d.x + d.width / 2 - box.x - box.width) < 1 and abs(d.y + d.height / 2 - box.y) < 1 for d in dots)
    said = [shape.words for shape in shapes if isinstance(shape, Text)]
    assert any(line.startswith("block6.depthwise.conv: Avoid representational bottlenecks") for line in said)
    inside = page_of(graph, "net", marks=[Mark("block9", "somewhere")]).shapes
    frames = [shape for shape in inside if isinstance(shape, Rect) and "block9" in shape.names]
    assert [frame.style for frame in frames] == ["frame"]
    assert page_of(graph, "net", marks=[Mark("nowhere", "lost")]).shapes, "a place that is not drawn is only listed"


def test_names() -> None:
    assert title_of("inception_v3") == "Inception V3"
    assert title_of("resnet152") == "ResNet-152"
    assert title_of("xception65") == "Xception-65"
    assert title_of("deeplab_xception65") == "DeepLabv3+ over Xception-65"
    assert title_of("mine") == "mine"
    assert all(title_of(name)[0].isupper() for name in list_models())
    assert [readable_kind(kind) for kind in ("InceptionA", "InceptionResNetB", "InceptionV4Stem2", "Bottleneck")] == [
        *("Inception A", "Inception ResNet B", "Inception V4 Stem 2", "Bottleneck")
    ]
    assert shape_text((1, 728, 19, 17)) == "19x17x728"
    assert shape_text((1, 1000)) == "1000"


def test_figures_are_those_the_modules_cite() -> None:
    import separable.blocks as package
    from separable.blocks import fire, inception, inception_resnet, inception_v1, inception_v4

    for kind, figure in FIGURES.items():
        homes = (package, fire, inception, inception_resnet, inception_v1, inception_v4)
        module = next(getattr(home, kind) for home in homes if hasattr(home, kind))
        number, paper = re.fullmatch(r"figure (\S+) of (arXiv:\S+)", figure).groups()  # type: ignore[union-attr]
        assert re.search(rf"[Ff]igure {re.escape(number)}\b|[Ff]igure {re.escape(number)}", module.__doc__), kind
        source = __import__("sys").modules[module.__module__].__doc__ or ""
        assert paper in source or paper in module.__doc__, kind
