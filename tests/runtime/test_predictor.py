"""The predictor answers what the network answers, whatever form the picture comes in."""

import copy
import io
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from separable.blocks.accelerate import choices_of, entry, swapped
from separable.data.folder import PictureSet
from separable.data.loader import LoaderConfig
from separable.data.preprocess import normalise, prepare_file
from separable.errors import RunFolderError, UsageError
from separable.models import ImageModel, build_model
from separable.ops.cpu import load_kernels
from separable.runtime import Predictor, load_predictor
from separable.training.evaluate import evaluate
from separable.weights import save_model
from tests.tolerances import ACCELERATED_FP32, EVALUATION_BATCHING

NAMES = ("cat", "dog", "owl")


@pytest.fixture(scope="module")
def model() -> ImageModel:
    torch.manual_seed(5)
    network = build_model("mobilenet_v1", 3, width=0.25)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # statistics of structured pictures, or every answer would be the same
    network.train()
    with torch.no_grad():
        network(torch.nn.functional.interpolate(torch.randn(16, 3, 4, 4), size=(64, 64), mode="bicubic"))
        network.get_classifier().weight.mul_(4)  # type: ignore[union-attr, operator]
    network.eval()
    network.input_contract = replace(network.input_contract, size=(64, 64), class_names=NAMES)
    return network


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(3)
    paths = []
    for number, suffix in enumerate(("png", "jpg", "bmp", "png", "webp")):
        small = generator.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        paths.append(folder / f"{number}.{suffix}")
        Image.fromarray(small).resize((100 + 10 * number, 90), Image.Resampling.BICUBIC).save(paths[-1])
    return paths


def expected(model: ImageModel, path: Path, temperature: float = 1.0) -> torch.Tensor:
    with torch.no_grad():
        logits = model(normalise(prepare_file(path, model.input_contract)[None], model.input_contract))
    return torch.softmax(logits.double() / temperature, 1)[0]


def test_probabilities_are_the_networks_own(model: ImageModel, pictures: list[Path]) -> None:
    answers = Predictor(model, model.input_contract, temperature=2.0)(pictures, top=3)
    spread = [answer.probabilities[0] for answer in answers]
    assert max(spread) - min(spread) > 1e-3, "the network must tell the pictures apart for this to mean anything"
    for path, answer in zip(pictures, answers, strict=True):
        truth = expected(model, path, 2.0)
        assert answer.source == str(path)
        found = dict(zip(answer.classes, answer.probabilities, strict=True))
        for name, value in zip(NAMES, truth.tolist(), strict=True):
            assert found[name] == pytest.approx(value, abs=EVALUATION_BATCHING)
        assert list(answer.probabilities) == sorted(answer.probabilities, reverse=True)


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_the_bytes_of_one_picture_are_one_picture(form: type, model: ImageModel, pictures: list[Path]) -> None:
    """A bytearray can be iterated too, over its bytes."""
    predictor = Predictor(model, model.input_contract)
    (answer,) = predictor(form(pictures[0].read_bytes()))
    assert answer.error is None
    assert answer.probabilities == predictor(pictures[0])[0].probabilities


def test_predict_and_evaluate_see_the_same_pixels(model: ImageModel, pictures: list[Path]) -> None:
    folder = pictures[0].parent
    labelled = PictureSet(folder, tuple(path.name for path in pictures), np.zeros(len(pictures), np.int64), NAMES)
    measured = evaluate(model, labelled, LoaderConfig(batch_size=2))
    answers = Predictor(model, model.input_contract)(pictures, top=3)
    for row, answer in zip(measured.probabilities, answers, strict=True):
        found = dict(zip(answer.classes, answer.probabilities, strict=True))
        assert [found[name] for name in NAMES] == pytest.approx(row.tolist(), abs=EVALUATION_BATCHING)


def test_batches_threads_and_order_change_nothing(model: ImageModel, pictures: list[Path]) -> None:
    many = pictures * 7
    whole = Predictor(model, model.input_contract, batch_size=64)(many)
    parts = Predictor(model, model.input_contract, batch_size=3)(many)
    assert [answer.source for answer in parts] == [str(path) for path in many]
    assert [answer.classes for answer in parts] == [answer.classes for answer in whole]
    for left, right in zip(parts, whole, strict=True):
        assert left.probabilities == pytest.approx(right.probabilities, abs=EVALUATION_BATCHING)


def test_every_form_of_one_picture_gets_one_answer(model: ImageModel, pictures: list[Path]) -> None:
    predictor = Predictor(model, model.input_contract)
    path = pictures[0]
    array = np.asarray(Image.open(path))
    opaque = np.dstack([array, np.full(array.shape[:2], 255, np.uint8)])
    turned = array[::-1].copy()[::-1]  # the same pixels, stored from the bottom
    forms = [path, str(path), path.read_bytes(), bytearray(path.read_bytes()), array, turned, opaque, Image.open(path)]
    answers = predictor(forms)
    assert len({answer.classes for answer in answers}) == 1
    for answer in answers[1:]:
        assert answer.probabilities == pytest.approx(answers[0].probabilities, abs=EVALUATION_BATCHING)
    assert [answer.source for answer in answers[2:4]] == ["picture 2", "picture 3"]
    grey = array[:, :, 0]
    assert predictor([grey])[0].probabilities == pytest.approx(
        predictor([np.dstack([grey] * 3)])[0].probabilities, abs=EVALUATION_BATCHING
    )
    alone = (path, str(path), path.read_bytes(), bytearray(path.read_bytes()), array, Image.open(path))
    assert [len(predictor(form)) for form in alone] == [1] * len(alone), "one picture alone is a list of one"


def test_a_turned_picture_is_turned_back(model: ImageModel, pictures: list[Path], tmp_path: Path) -> None:
    upright = Image.open(pictures[0])
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    turned = tmp_path / "turned.png"
    upright.transpose(Image.Transpose.ROTATE_90).save(turned, exif=exif)
    buffer = io.BytesIO(turned.read_bytes())
    answers = Predictor(model, model.input_contract)([pictures[0], turned, Image.open(buffer)])
    for answer in answers[1:]:
        assert answer.probabilities == pytest.approx(answers[0].probabilities, abs=EVALUATION_BATCHING)


def test_a_bad_picture_is_an_answer_with_its_cause(model: ImageModel, pictures: list[Path]) -> None:
    wrong = [b"", b"GIF89a nothing", "/no/such.png", np.zeros((4, 4, 3), np.float32), 7, pictures[0]]
    answers = Predictor(model, model.input_contract, batch_size=2)(wrong)
    assert [answer.error is None for answer in answers] == [False] * 5 + [True]
    assert answers[0].error == "empty file"
    assert answers[2].error == "cannot be read: No such file or directory"
    assert "float32 4x4x3" in str(answers[3].error)
    assert "not a picture but a int" in str(answers[4].error)
    assert answers[0].classes == ()
    assert answers[0].answer() is None


def test_a_stream_is_read_as_it_is_answered(model: ImageModel, pictures: list[Path]) -> None:
    """A folder of 100,000 pictures must not be in memory at once."""
    drawn = 0

    def endless() -> Iterator[Path]:
        nonlocal drawn
        while True:
            drawn += 1
            yield pictures[0]

    stream = Predictor(model, model.input_contract, batch_size=4).stream(endless())
    for answered in range(1, 41):
        next(stream)
        assert drawn <= answered + 2 * 4
    stream.close()  # type: ignore[attr-defined]


def test_the_kernels_are_timed_on_the_first_batch_alone(
    model: ImageModel, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not load_kernels(automatic=False).available:
        pytest.skip("the CPU kernels cannot be built here")
    monkeypatch.setattr(swapped, "_MARGIN", math.inf)
    monkeypatch.setattr(entry, "_faster", lambda *_: True)
    fast = Predictor(copy.deepcopy(model), model.input_contract, batch_size=2, accelerate=True)
    assert fast.acceleration is None, "nothing is timed before there are pictures"
    answers = fast(pictures, top=3)
    assert fast.acceleration is not None
    assert {mode for one in fast.acceleration.changed for mode in one.choices} == {"eval forward float32"}
    assert {len(one.seconds) for one in fast.acceleration.changed} == {1}
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):  # not timed in what may come later
        fast.model(torch.randn(2, 3, 64, 64).contiguous(memory_format=torch.channels_last))
    assert choices_of(fast.model) == fast.acceleration.choices
    for answer, plain in zip(answers, Predictor(model, model.input_contract)(pictures, top=3), strict=True):
        assert answer.classes == plain.classes
        assert answer.probabilities == pytest.approx(plain.probabilities, abs=ACCELERATED_FP32)
    save_model(model, pictures[0].parent / "model")
    with_run = load_predictor(pictures[0].parent / "model", accelerate=True)
    assert with_run(pictures[0])[0].classes == answers[0].classes
    assert with_run.acceleration is not None


def test_rejection_is_below_the_threshold(model: ImageModel, pictures: list[Path]) -> None:
    confidence = Predictor(model, model.input_contract)(pictures)[0].probabilities[0]
    for threshold, rejected in ((confidence + 1e-4, True), (confidence - 1e-4, False), (None, False)):
        predictor = Predictor(model, model.input_contract, reject_threshold=threshold)
        answer = predictor(pictures[0])[0]
        assert answer.rejected is rejected
        assert answer.answer(reject=True) == (None if rejected else answer.classes[0])
        assert answer.answer() == answer.classes[0]


def test_a_run_brings_model_temperature_and_threshold(model: ImageModel, pictures: list[Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    save_model(model, run / "checkpoints" / "step-00000007")
    with pytest.warns(UserWarning, match="has not ended: using its checkpoint step-00000007"):
        early = load_predictor(run)
    assert (early.temperature, early.reject_threshold) == (1.0, None)
    save_model(model, run / "model")
    (run / "evaluation.json").write_text(json.dumps({"calibration": {"temperature": 1.5, "reject_threshold": 0.4}}))
    full = load_predictor(run)
    assert (full.temperature, full.reject_threshold) == (1.5, 0.4)
    assert full.contract.class_names == NAMES
    found = full(pictures[1], top=1)[0]
    assert found.probabilities[0] == pytest.approx(float(expected(model, pictures[1], 1.5).max()), abs=1e-5)
    for path in (run / "model", run / "model" / "model.safetensors", run / "checkpoints" / "step-00000007"):
        assert load_predictor(path)(pictures[1], top=1)[0].classes == found.classes
    (run / "evaluation.json").write_text("{ half a")
    assert load_predictor(run).temperature == 1.0


def test_classes_without_names_have_numbers(model: ImageModel, pictures: list[Path]) -> None:
    nameless = replace(model.input_contract, class_names=())
    assert set(Predictor(model, nameless)(pictures[0])[0].classes) == {"class 0", "class 1", "class 2"}


def test_what_cannot_predict_says_so(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("")
    with pytest.raises(RunFolderError, match="has no model yet"):
        load_predictor(tmp_path / "run")
    with pytest.raises(UsageError, match="Unknown backend 'tflite'"):
        load_predictor(tmp_path / "run", backend="tflite")
    (tmp_path / "net.py").write_text("")
    with pytest.raises(UsageError, match="without trained weights"):
        load_predictor(f"{tmp_path}/net.py:build")


def test_a_device_that_is_not_there(model: ImageModel, tmp_path: Path) -> None:
    expected_words = "Expected: cpu, or cuda or cuda:N where torch sees a GPU"
    save_model(model, tmp_path)
    for device in ("foo", "cuda:99", "meta"):
        with pytest.raises(UsageError, match=rf"^The device '{device}' cannot be used\. Got: .+\. {expected_words}\.$"):
            load_predictor(tmp_path, device=device)
    with pytest.raises(UsageError, match=r"^The device 'foo' cannot be used"):
        Predictor(model, model.input_contract, device="foo")
