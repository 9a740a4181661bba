"""Masks are the classes of the network's own logits at the picture's own size, whatever the picture and the way."""

import copy
import io
import json
import math
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from separable.blocks.accelerate import entry, swapped
from separable.data.decode import decode_picture
from separable.data.preprocess import normalise, prepare, resize
from separable.errors import UsageError, WeightsFormatError
from separable.models import build_model
from separable.models.segmentation import SegmentationModel, pixel_logits
from separable.ops.cpu import load_kernels
from separable.runtime import MaskPredictor, Predictor, load_predictor, mask_rows
from separable.runtime.locate import Located, locate
from separable.runtime.predictor import load_classifier, load_mask_predictor
from separable.runtime.task import task_of
from separable.runtime.tiles import FLIPS, grid_of, tile_logits
from separable.segmentation.palette import class_colours
from separable.segmentation.png_writer import write_rgb_png
from separable.weights import save_model
from tests.data.made import encode, jpeg, structured
from tests.runtime.made import COLOURS, NAMES, SIDE, mask_run, pixel_network
from tests.tolerances import MASK_LOGITS


@pytest.fixture(scope="module")
def network() -> SegmentationModel:
    return pixel_network()


@pytest.fixture(scope="module")
def predictor(network: SegmentationModel) -> MaskPredictor:
    return MaskPredictor(network, network.input_contract, batch_size=3)


def logits_of(network: SegmentationModel, picture: torch.Tensor) -> np.ndarray:
    """(classes, h, w) in float64, of uint8 (3, h, w)."""
    with torch.no_grad():
        return pixel_logits(network, normalise(picture[None], network.input_contract))[0].double().numpy()


def stretched(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear between pixel centres, an axis at a time, written out."""
    for axis, want in ((1, size[0]), (2, size[1])):
        have = logits.shape[axis]
        place = np.clip((np.arange(want) + 0.5) * have / want - 0.5, 0, have - 1)
        low = np.floor(place).astype(int)
        share = (place - low).reshape([-1 if k == axis else 1 for k in range(3)])
        high = np.minimum(low + 1, have - 1)
        logits = np.take(logits, low, axis) * (1 - share) + np.take(logits, high, axis) * share
    return logits


def demand_classes(mask: np.ndarray, logits: np.ndarray) -> None:
    """`mask` is the class of `logits` wherever rounding cannot decide; and there is something to tell apart."""
    assert mask.shape == logits.shape[1:]
    assert mask.dtype == np.int16
    second, first = np.sort(logits, axis=0)[-2:]
    clear = first - second > MASK_LOGITS * np.abs(logits).max()
    assert clear.mean() > 0.98 or mask.size < 50
    assert np.array_equal(mask[clear], logits.argmax(0)[clear])


@pytest.mark.parametrize("size", [(32, 32), (77, 133), (200, 31), (9, 14), (1, 1), (1, 300), (301, 2)])
def test_a_picture_is_seen_as_in_evaluation_and_answered_at_its_own_size(
    predictor: MaskPredictor, network: SegmentationModel, size: tuple[int, int]
) -> None:
    picture = structured(*size, seed=3)
    answer = predictor(picture)[0]
    expected = stretched(logits_of(network, prepare(picture, network.input_contract)), size)
    demand_classes(answer.mask, expected)
    assert answer.class_names == NAMES
    counts = [(answer.mask == index).sum() for index in range(3)]
    assert answer.shares == pytest.approx([count / answer.mask.size for count in counts], abs=1e-12)
    assert (answer.source, answer.error) == ("picture 0", None)


def test_the_network_tells_pixels_apart(predictor: MaskPredictor) -> None:
    shares = [answer.shares for answer in predictor([structured(60, 80, seed=seed) for seed in range(4)])]
    assert sum(max(share) < 0.98 for share in shares) >= 2, "or these tests could not fail"


def test_what_a_crop_leaves_out_is_answered_too(network: SegmentationModel) -> None:
    """ "shorter": 60x90 becomes 37x56, of which evaluation sees the middle 32x32, and prediction all."""
    contract = replace(network.input_contract, resize="shorter", crop_fraction=0.875)
    picture = structured(60, 90, seed=5)
    answer = MaskPredictor(network, contract)(picture)[0]
    whole = resize(picture, (37, 55), "bilinear")
    demand_classes(answer.mask, stretched(logits_of(network, whole), (60, 90)))
    middle = prepare(picture, contract)
    assert torch.equal(whole[:, 2:34, 11:43], middle), "at evaluation's scale, to the bit"
    assert MaskPredictor(network, contract)(structured(8, 4000))[0].mask.shape == (8, 4000)


def test_batches_and_neighbours_change_nothing(network: SegmentationModel, predictor: MaskPredictor) -> None:
    contract = replace(network.input_contract, resize="shorter")
    for one in (network.input_contract, contract):
        pictures = [structured(*size, seed=seed) for seed, size in enumerate([(40, 60), (50, 50), (40, 60), (31, 99)])]
        together = MaskPredictor(network, one, batch_size=4)([*pictures[:2], b"bad", *pictures[2:]])
        alone = [MaskPredictor(network, one, batch_size=1)(picture)[0] for picture in pictures]
        assert [answer.error for answer in together] == [None, None, "not a picture", None, None]
        for left, right in zip([*together[:2], *together[3:]], alone, strict=True):
            assert (left.mask != right.mask).mean() < 0.01


def test_strips_put_together_are_the_whole(predictor: MaskPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = structured(123, 77)
    whole = predictor(picture)[0].mask
    for limit in (1, 3 * 77 * 10):
        monkeypatch.setattr(mask_rows, "_STRIP", limit)
        (rows,) = predictor.rows([picture], pixels=True)
        strips = list(rows.strips())
        assert len(strips) == (123 if limit == 1 else 13)
        assert np.array_equal(np.concatenate([strip.mask for strip in strips]), whole)
        assert np.array_equal(np.concatenate([strip.pixels for strip in strips]), picture)
    assert list(rows.strips()) == []


def test_tiles_without_overlap_are_pictures_of_their_own(predictor: MaskPredictor, network: SegmentationModel) -> None:
    picture = structured(64, 96, seed=2)
    mask = predictor([picture], tile=(32, 48), overlap=0)[0].mask
    for top in (0, 32):
        for left in (0, 48):
            part = picture[top : top + 32, left : left + 48]
            expected = logits_of(network, torch.from_numpy(part.copy()).permute(2, 0, 1))
            demand_classes(mask[top : top + 32, left : left + 48], expected)


@pytest.mark.parametrize("flips", list(FLIPS))
def test_a_tile_larger_than_the_picture_is_the_picture(
    predictor: MaskPredictor, network: SegmentationModel, flips: str
) -> None:
    """40x56 are multiples of the network's 8, so nothing is added: the whole picture at its own resolution."""
    picture = torch.from_numpy(structured(40, 56, seed=4)).permute(2, 0, 1)
    mask = predictor([picture.permute(1, 2, 0).numpy()], tile=4000, flips=flips)[0].mask
    axes = {"none": [()], "horizontal": [(), (2,)], "vertical": [(), (1,)], "all": [(), (2,), (1,), (1, 2)]}[flips]
    turned = [np.flip(logits_of(network, picture.flip(axis)), axis) for axis in axes]
    demand_classes(mask, sum(turned) / len(turned))
    tops = {tuple(rows.size) for rows in predictor.rows([np.zeros((3, 5, 3), np.uint8)], tile=4000)}
    assert tops == {(3, 5)}


def test_flips_change_the_whole_picture_way_too(predictor: MaskPredictor, network: SegmentationModel) -> None:
    picture = structured(50, 70, seed=6)
    small = prepare(picture, network.input_contract)
    mean = (logits_of(network, small) + np.flip(logits_of(network, small.flip(2)), 2)) / 2
    demand_classes(predictor([picture], flips="horizontal")[0].mask, stretched(mean, (50, 70)))


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (33, 90), (70, 41)])
@pytest.mark.parametrize("tile", [20, (16, 64), 64])
def test_any_size_in_any_tiles(predictor: MaskPredictor, size: tuple[int, int], tile: int | tuple[int, int]) -> None:
    """Files by rows and arrays agree; the tile is rounded up to the network's grid."""
    picture = structured(*size, seed=1)
    answer = predictor([picture], tile=tile)[0]
    assert (answer.error, answer.mask.shape) == (None, size)
    (rows,) = predictor.rows([encode(picture, "PNG")], tile=tile, pixels=True)
    strips = list(rows.strips())
    assert np.array_equal(np.concatenate([strip.mask for strip in strips]), answer.mask)
    assert np.array_equal(np.concatenate([strip.pixels for strip in strips]), picture)


def kinds() -> dict[str, bytes]:
    pixels = structured(45, 62, seed=8)
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    alpha = np.dstack([pixels, np.linspace(0, 255, 45 * 62).reshape(45, 62).astype(np.uint8)])
    return {
        "grey.png": encode(image.convert("L"), "PNG"),
        "alpha.png": encode(alpha, "PNG"),
        "wide.png": encode(Image.fromarray(pixels[..., 0].astype(np.uint16) * 257), "PNG"),
        "palette.png": encode(image.quantize(20), "PNG"),
        "turned.png": encode(image, "PNG", exif=exif),
        "turned.jpg": jpeg(image, exif=exif),
        "cmyk.jpg": jpeg(image.convert("CMYK")),
        "a.bmp": encode(image, "BMP"),
        "a.ppm": encode(image, "PPM"),
        "a.webp": encode(image, "WEBP", lossless=True),
    }


@pytest.mark.parametrize("name", list(kinds()))
def test_every_kind_of_file_is_what_it_shows(predictor: MaskPredictor, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(kinds()[name])
    shown = decode_picture(path, decoder="pillow")
    assert shown.shape[:2] == ((62, 45) if "turned" in name else (45, 62))
    for tile in (None, 32):
        expected = predictor([shown], tile=tile)[0].mask
        for form in (path, path.read_bytes(), Image.open(io.BytesIO(path.read_bytes()))):
            found = predictor([form], tile=tile)[0]
            assert found.mask.shape == expected.shape
            # A JPEG's other decoder differs by a few levels.
            assert (found.mask != expected).mean() < (0.02 if name.endswith("jpg") else 1e-9)
    (rows,) = predictor.rows([path], pixels=True)
    seen = np.concatenate([strip.pixels for strip in rows.strips()])
    assert seen.shape == shown.shape


def test_a_bad_picture_stops_no_other(predictor: MaskPredictor, tmp_path: Path) -> None:
    good = structured(40, 50)
    torn = tmp_path / "torn.png"
    torn.write_bytes(encode(np.random.default_rng(0).integers(0, 256, (200, 50, 3), dtype=np.uint8), "PNG")[:15_000])
    wrong = [b"", "/no/such.png", good, torn, np.zeros((4, 4, 3), np.float32), 7, good]
    for tile in (None, 32):
        answers = predictor(wrong, tile=tile)
        errors = [answer.error for answer in answers]
        assert errors[:2] == ["empty file", "cannot be read: No such file or directory"]
        assert "truncated PNG" in str(errors[3])
        assert "float32 4x4x3" in str(errors[4])
        assert "not a picture but a int" in str(errors[5])
        assert np.array_equal(answers[2].mask, answers[6].mask)
        assert (errors[2], answers[6].mask.shape) == (None, (40, 50))
        assert (answers[3].mask.size, answers[3].shares) == (0, ())
    rows = next(predictor.rows([torn], tile=32))
    assert (rows.size, rows.error) == ((200, 50), None), "found when its rows are read, and not before"


def test_a_stream_is_read_as_it_is_answered(predictor: MaskPredictor) -> None:
    drawn = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal drawn
        while True:
            drawn += 1
            yield structured(20, 20)

    for tile, ahead in ((None, 6), (32, 1)):
        drawn = 0
        stream = predictor.stream(endless(), tile=tile)
        for answered in range(10):
            next(stream)
            assert drawn <= answered + ahead
        stream.close()  # type: ignore[attr-defined]


def test_memory_does_not_grow_with_the_height(
    predictor: MaskPredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20,000 pixels wide, and 32 or 160 rows of tiles high; the network, which has a tile at a time, stands aside."""
    monkeypatch.setattr(predictor, "logits_of_tiles", lambda tiles: tiles.float())
    peaks = []
    for height in (128, 640):
        path = tmp_path / f"{height}.png"
        strips = (np.full((64, 20_000, 3), [40, top % 256, 90], np.uint8) for top in range(0, height, 64))
        write_rgb_png(path, strips, (height, 20_000))
        tracemalloc.start()
        answers = predictor.rows([path], tile=(32, 256), overlap=8, pixels=True)
        rows = next(answers)
        counts = sum(np.bincount(strip.mask.ravel(), minlength=3) for strip in rows.strips())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert counts.sum() == height * 20_000
        assert counts[1] == 20_000 * 64 * sum(top % 256 > 90 for top in range(0, height, 64))
    assert peaks[1] < 1.1 * peaks[0]
    assert peaks[1] < 24 * 2**20, "less than the picture"


def test_a_run_brings_model_and_colours(tmp_path: Path, network: SegmentationModel) -> None:
    run = mask_run(tmp_path / "run", network)
    for place in (run, run / "model", run / "model" / "model.safetensors"):
        loaded = load_predictor(place)
        assert isinstance(loaded, MaskPredictor)
        assert loaded.class_names == NAMES
        own = place == run
        assert loaded.colours == (tuple(map(tuple, COLOURS)) if own else class_colours(3))
    for damaged in ("{ half a", "[]", json.dumps({"colours": [[0, 0, 0]]}), json.dumps({"colours": [[0, 0, 256]] * 3})):
        (run / "evaluation.json").write_text(damaged)
        assert load_mask_predictor(run).colours == class_colours(3)
    with pytest.raises(UsageError, match=r"^Predicting is for networks that classify pictures\. Got: unet_xception"):
        load_classifier(run)
    nameless = replace(network.input_contract, class_names=())
    assert MaskPredictor(network, nameless).class_names == ("class 0", "class 1", "class 2")


def test_a_classifier_has_no_masks(tmp_path: Path) -> None:
    classifier = build_model("mobilenet_v1", 3, width=0.25)
    save_model(classifier, tmp_path / "model")
    assert isinstance(load_predictor(tmp_path / "model"), Predictor)
    with pytest.raises(UsageError, match=r"classifies pictures\. Expected: a network that answers for every pixel"):
        load_mask_predictor(tmp_path / "model")
    for model in (classifier, build_model("unet_xception", 0, width=0.25, depth=1)):
        with pytest.raises(UsageError, match=r"^Masks are predicted by networks that answer for every pixel\. Got: "):
            MaskPredictor(model, model.input_contract)


def test_the_task_is_known_before_a_network_is_built(tmp_path: Path, network: SegmentationModel) -> None:
    run = mask_run(tmp_path / "run", network)
    save_model(build_model("mobilenet_v1", 3, width=0.25), tmp_path / "other")
    wanted = {run: "segment", run / "model": "segment", run / "model" / "model.safetensors": "segment"}
    wanted |= {tmp_path / "other": "classify", "unet_xception": "segment", "xception": "classify"}
    assert {place: task_of(locate(place)) for place in wanted} == wanted
    (run / "model" / "config.json").write_text("[")
    assert task_of(locate(run)) == "classify"
    with pytest.raises(WeightsFormatError):
        load_predictor(run)
    assert task_of(Located("factory", tmp_path / "net.py", "build")) == "classify"


def test_the_kernels_serve_masks_too(network: SegmentationModel, monkeypatch: pytest.MonkeyPatch) -> None:
    if not load_kernels(automatic=False).available:
        pytest.skip("the CPU kernels cannot be built here")
    monkeypatch.setattr(swapped, "_MARGIN", math.inf)
    monkeypatch.setattr(entry, "_faster", lambda *_: True)
    pictures = [structured(40, 56, seed=seed) for seed in range(3)]
    plain = MaskPredictor(network, network.input_contract)
    fast = MaskPredictor(copy.deepcopy(network), network.input_contract, accelerate=True)
    for tile in (32, None):
        for ours, expected in zip(fast(pictures, tile=tile), plain(pictures, tile=tile), strict=True):
            assert (ours.mask != expected.mask).mean() < 0.01
    assert fast.acceleration is not None
    assert fast.acceleration.changed


def test_ways_that_do_not_exist(predictor: MaskPredictor) -> None:
    picture = structured(9, 9)
    for options, words in (
        ({"flips": "sideways"}, r"Unknown flips\. Got: 'sideways'\. Expected: none, horizontal, vertical, all"),
        ({"overlap": 3}, r"An overlap is for tiles\. Got: overlap 3 and no tile"),
        ({"tile": 0}, r"No tile\. Got: tile 0\. Expected: a side, or height and width, in whole pixels"),
        ({"tile": "64"}, r"No tile\. Got: tile '64'"),
        ({"tile": (8, 8, 8)}, r"No tile\. Got: tile \(8, 8, 8\)"),
        ({"tile": 64, "overlap": 60}, r"Tiles do not fit together\. Got: size \(64, 64\), overlap 60, multiple 8"),
        ({"tile": 64, "overlap": -1}, r"Tiles do not fit together"),
    ):
        with pytest.raises(UsageError, match=f"^{words}"):
            predictor([picture], **options)


def test_tiles_lie_on_the_networks_grid() -> None:
    assert grid_of(pixel_network()) == 8
    unet = build_model("unet", 3, encoder="mobilenet_v1", width=0.25)
    assert isinstance(unet, SegmentationModel)
    assert grid_of(unet) == 32
    deeplab = build_model("deeplab", 3, encoder="mobilenet_v1", width=0.25)
    assert isinstance(deeplab, SegmentationModel)
    grid = grid_of(deeplab)
    assert deeplab.align_corners
    # Whatever the tile's side, the same cells interpolate the same pixels: logits that are a ramp over the cells.
    ramps = []
    for cells in (2, 4):
        ramp = torch.arange(cells + 1.0).expand(1, 1, cells + 1, cells + 1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(deeplab, "forward_features", lambda x: x)
            patch.setattr(deeplab, "forward_head", lambda x, ramp=ramp: ramp)
            ramps.append(tile_logits(deeplab, torch.zeros(1, 3, cells * grid, cells * grid))[0, 0, 0])
    assert torch.allclose(ramps[0], torch.arange(2.0 * grid) / grid)
    assert torch.allclose(ramps[1][: 2 * grid], ramps[0])


def test_evaluation_and_prediction_see_the_same_input(predictor: MaskPredictor, network: SegmentationModel) -> None:
    """At the network's own size nothing is interpolated: the mask is the argmax of evaluation's logits."""
    picture = structured(SIDE, SIDE, seed=9)
    logits = logits_of(network, prepare(picture, network.input_contract))
    assert (predictor(picture)[0].mask == logits.argmax(0)).mean() > 0.995
