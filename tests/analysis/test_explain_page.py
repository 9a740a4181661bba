"""The page of an explanation: well formed, self-contained, and true to what was found."""

import base64
import io
import re
from collections.abc import Mapping
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

from separable.analysis.explain import (
    Explanation,
    FeatureLayer,
    Subject,
    default_layer,
    drawn_images,
    explain_picture,
    explanation_page,
    feature_layers,
    finer_layer,
    first_convolution,
    telling_layers,
)
from separable.data.preprocess import normalise, prepare, seen_region
from separable.models import build_model
from tests.analysis.explained import awake

HTML = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '</title><script>alert("1")</script>&amp;\x00\x1b\udcff\u202e\'"'


# the page


def subject(side: int = 64, names: tuple[str, ...] = ("cat", "dog", "owl"), **changes: object) -> Subject:
    torch.manual_seed(0)
    model = awake(build_model("mobilenet_v1", 3, width=0.125))
    model.input_contract = replace(model.input_contract, size=(side, side), class_names=names)
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (90, 120, 3)).astype(np.uint8)
    contract = model.input_contract
    seen = prepare(picture, contract)
    inputs = normalise(seen[None], contract)
    layers = feature_layers(model, inputs)
    layer = default_layer(model, layers)
    found = explain_picture(
        model, inputs, layer, telling_layers(model, layers, layer), classes=(2,), baseline=-1.0, steps=4
    )
    name, convolution = first_convolution(model)
    made = Subject(
        source="pictures/a.jpg", title="a.jpg", model="runs/pets", network="mobilenet_v1",
        command="separable explain runs/pets pictures/a.jpg", contract=contract, temperature=1.5, whole=picture,
        size=(90, 120), region=seen_region((90, 120), contract), seen=seen, layer=layer,
        finer=finer_layer(model, layers, layer), steps=None, filters=(name, convolution.weight.detach()),
        explanation=found,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def shown() -> Subject:
    return subject()


def parse(text: str) -> ElementTree.Element:
    assert text.startswith("<!DOCTYPE html>\n")
    return ElementTree.fromstring(text.encode("utf-8"))


def words(page: ElementTree.Element) -> str:
    return " ".join(" ".join(page.itertext()).split())


def page_of(one: Subject) -> tuple[ElementTree.Element, Mapping[str, bytes]]:
    images = drawn_images(one)
    return parse(explanation_page(one, images)), images


def test_the_page_needs_nothing_but_itself(shown: Subject) -> None:
    page, images = page_of(shown)
    found = []
    for node in page.iter():
        for key, value in node.attrib.items():
            if key in ("src", "href"):
                assert value.startswith(("data:image/png;base64,", "data:image/jpeg;base64,", "#")), value[:60]
                found += [base64.b64decode(value.partition(",")[2])] if value.startswith("data:") else []
            assert "url(" not in value
    assert all(content in found for content in images.values())
    assert all(Image.open(io.BytesIO(content)).verify() is None for content in found)
    policy = next(node.get("content") for node in page.iter(f"{HTML}meta") if node.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert all(node.get("alt") for node in page.iter(f"{HTML}img"))
    assert "prefers-color-scheme:dark" in words(page)


def test_the_page_says_what_was_found(shown: Subject) -> None:
    page, images = page_of(shown)
    found = shown.explanation
    said = words(page)
    best = shown.name(found.top[0])
    assert f"Why {best}?" in said
    assert f"takes this picture for {best} with a confidence of {100 * float(found.probabilities.max()):.1f}%" in said
    assert "2x2 positions of the heat map" not in said
    assert "2x2" in said
    assert "block13 (128 maps of 2x2)" in said
    for source in ("arXiv:1610.02391", "arXiv:1703.01365", "calibrated with the temperature 1.5", "the runner-up"):
        assert source in said
    assert "asked for" in said
    body = next(page.iter(f"{HTML}tbody"))
    assert len(list(body)) == len(found.evidence) == 3
    for row, evidence in zip(body, found.evidence, strict=True):
        numbers = [float(cell.get("data-value") or "nan") for cell in row]
        assert evidence.attribution is not None
        assert numbers[1:3] == pytest.approx([evidence.probability, evidence.logit])
        total = float(evidence.attribution.values.double().sum())
        assert numbers[3:6] == pytest.approx(
            [float(evidence.attribution.difference), total, float(evidence.attribution.share)], rel=1e-4
        )
    assert float(found.probabilities.sum()) == pytest.approx(1)
    sizes = {name: Image.open(io.BytesIO(content)).size for name, content in images.items()}
    assert sizes["seen.png"] == (64, 64)
    assert {size for name, size in sizes.items() if name.startswith("gradcam-cells")} == {(2, 2)}
    assert sum(name.startswith("integrated-") for name in sizes) == 3
    assert [node.text for node in page.iter(f"{HTML}h3")] == [layer.name for layer, _ in found.maps]
    seen = np.asarray(Image.open(io.BytesIO(images["seen.png"])))
    assert (seen == shown.seen.numpy().transpose(1, 2, 0)).all()


def test_the_crop_is_outlined_in_the_pictures_own_pixels(shown: Subject) -> None:
    page, _ = page_of(shown)
    drawing = next(node for node in page.iter(f"{SVG}svg") if node.get("class") == "seen")
    assert drawing.get("viewBox") == "0 0 120 90"
    top, left, height, width = shown.region
    outline = list(drawing.iter(f"{SVG}path"))[1].get("d")
    assert outline == f"M{left:.1f} {top:.1f}h{width:.1f}v{height:.1f}h-{width:.1f}z"
    assert (height, width) == pytest.approx((90 * 0.875, 90 * 0.875), abs=1)


def test_a_map_of_one_position_is_no_heat_map() -> None:
    one = subject(side=32)
    page, images = page_of(one)
    said = words(page)
    assert "block13 has a single position (1x1) for pictures of this size, so Grad-CAM has no resolution there" in said
    assert "Try --layer block5, an earlier layer with 4x4." in said
    assert not any(name.startswith("gradcam") for name in images)
    assert "Grad-CAM over the picture" not in said
    alone = replace(one, finer=None)
    assert alone.alerts()[0].endswith("No earlier layer has more.")


def test_a_wide_gap_is_said(shown: Subject) -> None:
    evidence = shown.explanation.evidence[0]
    assert evidence.attribution is not None
    wide = replace(evidence.attribution, gap=0.2 * evidence.attribution.difference)
    rest = shown.explanation.evidence[1:]
    found = replace(shown.explanation, evidence=(replace(evidence, attribution=wide), *rest))
    changed = replace(shown, explanation=found)
    assert any(f"more than 5%: {shown.name(evidence.index)} (20.0%)" in alert for alert in changed.alerts())
    assert "More steps (--steps) would come closer." in words(page_of(changed)[0])


@pytest.mark.parametrize("method", ["gradcam", "integrated"])
def test_one_method_alone(shown: Subject, method: str) -> None:
    gone = {"attribution": None} if method == "gradcam" else {"cam": None}
    evidence = tuple(replace(one, **gone) for one in shown.explanation.evidence)  # type: ignore[arg-type]
    one = replace(shown, explanation=replace(shown.explanation, evidence=evidence), filters=None)
    page, images = page_of(one)
    said = words(page)
    assert ("1703.01365" in said) == (method == "integrated")
    assert ("1610.02391" in said) == (method == "gradcam")
    assert {name.split("-")[0] for name in images} == {"seen.png", "maps", method}
    assert "First filters" not in said


def test_hostile_names_stay_text() -> None:
    one = subject(names=(HOSTILE, HOSTILE + "2", "../../x"))
    one = replace(one, source=HOSTILE, title=HOSTILE, model=HOSTILE, command=HOSTILE, network=HOSTILE)
    one = replace(one, layer=FeatureLayer(HOSTILE, 128, 2, 2))
    page, images = page_of(one)
    assert sum(1 for _ in page.iter(f"{HTML}script")) == 1
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", name) for name in images)
    assert not any(name.startswith(".") for name in images)


def test_a_network_with_one_output_has_a_sigmoid(shown: Subject) -> None:
    torch.manual_seed(0)
    model = awake(build_model("mobilenet_v1", 1, width=0.125))
    x = torch.randn(1, 3, 64, 64)
    layers = feature_layers(model, x)
    found: Explanation = explain_picture(model, x, layers[-1], steps=2)
    with torch.no_grad():
        assert float(found.probabilities) == pytest.approx(float(model.eval()(x).sigmoid()))
    page, _ = page_of(replace(shown, explanation=found))
    assert "The network has one output: its sigmoid." in words(page)
