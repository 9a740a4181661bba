"""What masks are predicted of and by: files of every kind, bad ones, long streams, large pictures, runs."""

import io
import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from separable.data.decode import decode_picture
from separable.errors import BadPictureError, UsageError, WeightsFormatError
from separable.models import build_model
from separable.models.segmentation import SegmentationModel
from separable.runtime import MaskPredictor, Predictor, load_predictor
from separable.runtime.locate import Located, locate
from separable.runtime.predictor import load_classifier, load_mask_predictor
from separable.runtime.task import task_of
from separable.segmentation.palette import class_colours
from separable.segmentation.png_writer import write_rgb_png
from separable.weights import save_model
from tests.data.made import encode, jpeg, structured
from tests.runtime.made import COLOURS, NAMES, mask_run, pixel_network


@pytest.fixture(scope="module")
def network() -> SegmentationModel:
    return pixel_network()


@pytest.fixture(scope="module")
def predictor(network: SegmentationModel) -> MaskPredictor:
    return MaskPredictor(network, network.input_contract, batch_size=3)


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


def test_a_file_that_changes_between_its_mask_and_its_pixels(predictor: MaskPredictor, tmp_path: Path) -> None:
    """The mask is of what the file was; pixels of another size would lie beside it."""
    path = tmp_path / "a.png"
    path.write_bytes(encode(structured(40, 50), "PNG"))
    rows = next(predictor.rows([path], pixels=True))
    path.write_bytes(encode(structured(50, 40), "PNG"))
    with pytest.raises(BadPictureError, match=r"^changed while it was predicted"):
        list(rows.strips())


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
