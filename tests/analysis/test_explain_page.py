"""The page of an explanation: well formed, self-contained, true; its colours even; its pictures what they say."""

import base64
import io
import re
from collections.abc import Mapping
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
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
from separable.analysis.explain.colour import COLOURS, coloured, css_gradient, scale
from separable.analysis.explain.images import attribution_limit, cells, filter_grid, map_grid, overlay, signed_image
from separable.data.preprocess import normalise, prepare, seen_region
from separable.models import InputContract, build_model
from tests.analysis.explained import awake

HTML = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '</title><script>alert("1")</script>&amp;\x00\x1b\udcff\u202e\'"'


# colours


def lab(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """CIELAB for the white point of sRGB, written from the definitions and not from the code's inverse."""
    c = rgb.astype(np.float64) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ matrix.T / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


@pytest.mark.parametrize("part", ["amount", "against", "in favour"])
def test_equal_steps_of_a_scale_are_equal_differences_of_colour(part: str) -> None:
    table = lab(scale("amount" if part == "amount" else "signed"))
    half = COLOURS // 2
    table = {"amount": table, "against": table[half - 1 :: -1], "in favour": table[half:]}[part]
    # Eight bits a channel move a colour by up to half a level: steps of 16 colours drown that.
    far = table[::16]
    steps = np.linalg.norm(np.diff(far, axis=0), axis=1)
    assert steps.max() / steps.min() < 1.15, steps
    assert bool((np.diff(far[:, 0]) > 1.5).all()), "it grows lighter all the way"


def test_the_ends_of_the_signed_scale_are_each_others_match() -> None:
    table = lab(scale("signed"))
    assert abs(table[0, 0] - table[-1, 0]) < 2
    assert table[0, 2] < -20 < 20 < table[-1, 2], "blue against, orange in favour"
    assert float(np.abs(table[COLOURS // 2 - 1 : COLOURS // 2 + 1]).max()) < 12, "nearly black in the middle"
    assert np.linalg.norm(table[COLOURS // 2] - table[COLOURS // 2 - 1]) < 3


def test_values_get_the_colours_of_their_place() -> None:
    table = scale("amount")
    assert coloured(np.array([0.0, 2.0, 1.0, 9.0, -1.0]), 2.0).tolist() == table[[0, 255, 128, 255, 0]].tolist()
    signed = scale("signed")
    found = coloured(np.array([-2.0, 0.0, 2.0, 1.0]), 2.0, "signed")
    assert found.tolist() == signed[[0, 128, 255, 192]].tolist()
    assert coloured(np.zeros(3), 0.0).tolist() == [table[0].tolist()] * 3
    stops = re.findall(r"#[0-9a-f]{6}", css_gradient("amount"))
    assert (stops[0], stops[-1]) == tuple(f"#{bytes(table[end].tolist()).hex()}" for end in (0, -1))


# images


def test_a_heat_map_is_drawn_where_it_is() -> None:
    cam = torch.zeros(4, 4)
    cam[0, 3] = 2.0
    assert cells(cam).shape == (4, 4, 3)
    assert cells(cam)[0, 3].tolist() == scale("amount")[-1].tolist()
    assert cells(cam)[3, 0].tolist() == scale("amount")[0].tolist()
    seen = torch.full((3, 64, 48), 200, dtype=torch.uint8)
    drawn = overlay(seen, cam).astype(int)
    assert drawn.shape == (64, 48, 3)
    red, blue = drawn[..., 0], drawn[..., 2]
    assert np.unravel_index((red - blue).argmax(), (64, 48))[0] < 16
    assert np.unravel_index((red - blue).argmax(), (64, 48))[1] >= 36
    nothing = overlay(seen, torch.zeros(4, 4))
    assert set(nothing.reshape(-1).tolist()) == {100}


def test_attributions_are_summed_over_the_colours() -> None:
    values = torch.zeros(3, 10, 20)
    values[:, 2, 3] = torch.tensor([1.0, 2.0, -0.5])
    values[:, 5, 6] = torch.tensor([-1.0, -2.0, 0.5])
    values[:, 7, 7] = torch.tensor([1.0, -2.0, 1.0])
    drawn = signed_image(values)
    assert attribution_limit(values) == 2.5
    middle = scale("signed")[128].tolist()
    assert drawn[2, 3].tolist() == scale("signed")[-1].tolist()
    assert drawn[5, 6].tolist() == scale("signed")[0].tolist()
    assert drawn[7, 7].tolist() == middle == drawn[0, 0].tolist()
    spread = torch.linspace(-1, 1, 3 * 10 * 20).view(3, 10, 20)
    assert attribution_limit(spread) == pytest.approx(np.percentile(np.abs(spread.sum(0).numpy()), 99), rel=0.02)
    spread[:, 1:] = 0
    spread[:, 0, 1:] = 0
    assert attribution_limit(spread) == pytest.approx(0.99666, rel=1e-4), "nearly all are 0: then the largest"


def test_maps_are_drawn_each_on_its_own_scale() -> None:
    maps = torch.zeros(5, 2, 3)
    maps[1] = torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    maps[3] = maps[1] * 100 - 7
    grid, shown = map_grid(maps, columns=2, most=3)
    assert shown[:2] == [0, 1] or shown == [1, 2, 3] or set(shown) >= {1, 3}
    assert grid.shape == (2 * 48 + 3, 2 * 72 + 3, 4)  # tiles of 2x3 positions, 24 pixels each
    place = {channel: divmod(index, 2) for index, channel in enumerate(shown)}
    tiles = {
        channel: grid[51 * row : 51 * row + 48, 75 * column : 75 * column + 72]
        for channel, (row, column) in place.items()
    }
    assert (tiles[1] == tiles[3]).all()
    assert tiles[1][0, 0, :3].tolist() == scale("amount")[0].tolist()
    assert tiles[1][-1, -1, :3].tolist() == scale("amount")[-1].tolist()
    assert grid[48, 0, 3] == 0, "clear between tiles"


def test_filters_are_drawn_around_grey() -> None:
    weights = torch.zeros(2, 3, 2, 2)
    weights[0, 0, 0, 0], weights[0, 2, 1, 1] = 0.5, -0.25
    grid = filter_grid(weights)
    tile = grid[:72, :72, :3]
    assert tile[0, 0].tolist() == [255, 128, 128]
    assert tile[71, 71].tolist() == [128, 128, 64]
    assert filter_grid(weights, bgr=True)[0, 0, :3].tolist() == [128, 128, 255]
    assert grid[0, 75:147, :3].reshape(-1).tolist() == [128] * 216
    assert filter_grid(torch.ones(7, 2, 3, 3)).shape == (2 * 72 + 3, 12 * 75 - 3, 4)


@pytest.mark.parametrize("size", [(90, 200), (331, 77), (64, 64), (2, 1000)])
@pytest.mark.parametrize("rule", ["shorter", "squash"])
def test_the_region_is_what_the_crop_keeps(size: tuple[int, int], rule: str) -> None:
    """Ramps that are worth their own place: what stands at the edges of the crop says where it was cut."""
    contract = InputContract(size=(64, 48), mean=(0, 0, 0), std=(1, 1, 1), resize=rule)
    top, left, height, width = seen_region(size, contract)
    ramps = np.zeros((*size, 3))
    ramps[..., 0] = (np.arange(size[0]) + 0.5)[:, None] * 255 / size[0]
    ramps[..., 1] = (np.arange(size[1]) + 0.5)[None, :] * 255 / size[1]
    seen = prepare(np.rint(ramps).astype(np.uint8), contract).double()
    for channel, axis, start, extent, whole, wanted in (
        (0, 1, top, height, size[0], 64),
        (1, 0, left, width, size[1], 48),
    ):
        row = seen[channel].mean(axis) * whole / 255
        places = start + (torch.arange(wanted) + 0.5) * extent / wanted
        inner = slice(4, -4)  # at the edges of the picture a resize repeats the last pixel
        assert float((row - places)[inner].abs().max()) < 1.2 * whole / 255 + 0.5


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
