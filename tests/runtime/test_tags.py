"""Tags are the network's own probabilities, each for itself; what is given of them, and the files of them."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from separable.data.manifest import read_manifest
from separable.data.preprocess import normalise, prepare_file
from separable.errors import UsageError
from separable.models import ImageModel, build_model
from separable.runtime import Predictor, TagPrediction, TagPredictor, load_predictor
from separable.runtime.locate import locate
from separable.runtime.predictor import load_classifier, load_mask_predictor, load_tag_predictor
from separable.runtime.tags import write_tags
from separable.runtime.task import task_of
from separable.weights import save_model
from tests.parity.torch_net import calibrate
from tests.tolerances import EVALUATION_BATCHING

NAMES = ("cat", "black; white", "owl", "dog")
SIDE = 32


@pytest.fixture(scope="module")
def model() -> ImageModel:
    torch.manual_seed(3)
    network = calibrate(build_model("mobilenet_v1", len(NAMES), width=0.25), SIDE)
    contract = network.input_contract
    network.input_contract = replace(contract, size=(SIDE, SIDE), class_names=NAMES, answer="sigmoid")
    return network


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, generator = tmp_path_factory.mktemp("pictures"), np.random.default_rng(1)
    for number in range(6):
        small = Image.fromarray(generator.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        small.resize((40, 36), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


def probabilities(model: ImageModel, pictures: list[Path]) -> np.ndarray:
    seen = torch.stack([prepare_file(path, model.input_contract) for path in pictures])
    with torch.no_grad():
        logits = model(normalise(seen, model.input_contract)).double().numpy()
    return 1 / (1 + np.exp(-logits))


def test_every_tag_above_the_threshold(model: ImageModel, pictures: list[Path]) -> None:
    truth = probabilities(model, pictures)
    threshold = float(np.median(truth))
    assert (truth.sum(1) != 1).all(), "no softmax"
    counts = (truth >= threshold).sum(1)
    assert len(set(counts.tolist())) > 1, "pictures of several tags and of few"
    answers = TagPredictor(model, model.input_contract, threshold=threshold, batch_size=4)(pictures)
    for path, row, answer in zip(pictures, truth, answers, strict=True):
        order = np.argsort(-row)
        expected = [NAMES[k] for k in order if row[k] >= threshold]
        assert (answer.source, list(answer.tags)) == (str(path), expected)
        found = [row[NAMES.index(name)] for name in answer.tags]
        assert answer.probabilities == pytest.approx(found, abs=EVALUATION_BATCHING)


def test_the_most_probable_ones(model: ImageModel, pictures: list[Path]) -> None:
    truth = probabilities(model, pictures)
    predictor = TagPredictor(model, model.input_contract)
    assert predictor.threshold == 0.5
    for row, answer in zip(truth, predictor(pictures, top=3), strict=True):
        assert list(answer.tags) == [NAMES[k] for k in np.argsort(-row)[:3]], "however improbable"
    best = float(truth.max(1).min())
    for row, answer in zip(truth, predictor(pictures, top=1, threshold=best + 1e-4), strict=True):
        assert len(answer.tags) == int(row.max() >= best + 1e-4)
    assert [answer.tags for answer in predictor(pictures, threshold=1.0)] == [()] * len(pictures)
    assert {len(answer.tags) for answer in predictor(pictures, threshold=0.0)} == {len(NAMES)}
    assert {len(answer.tags) for answer in predictor(pictures, top=99)} == {len(NAMES)}


def test_bad_pictures_are_answers_too(model: ImageModel, pictures: list[Path], tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(pictures[0].read_bytes()[:40])
    answers = TagPredictor(model, model.input_contract)([pictures[0], tmp_path / "torn.png", tmp_path / "gone.png"])
    assert [answer.error is None for answer in answers] == [True, False, False]
    assert answers[1].tags == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.5}, r"^A threshold is a probability\. Got: 1\.5\. Expected: 0 to 1\.$"),
        ({"threshold": float("nan")}, r"^A threshold is a probability\. Got: nan"),
        ({"top": 0}, r"^At least one tag has to be shown\. Got: top 0\. Expected: 1 or more\.$"),
    ],
)
def test_what_cannot_be_asked(options: dict[str, float], message: str, model: ImageModel) -> None:
    with pytest.raises(UsageError, match=message):
        TagPredictor(model, model.input_contract).stream([], **options)  # type: ignore[arg-type]  # said before a picture


def test_a_run_is_known_by_its_contract(tmp_path: Path, model: ImageModel, pictures: list[Path]) -> None:
    run = tmp_path / "run"
    save_model(model, run / "model")
    for place in (run, run / "model", run / "model" / "model.safetensors"):
        assert task_of(locate(place)) == "tag"
        loaded = load_predictor(place)
        assert isinstance(loaded, TagPredictor)
        assert loaded.threshold == 0.5
    decisions: tuple[object, ...] = ({"threshold": 0.3}, {"threshold": "x"}, {"threshold": 7.0}, {}, None, [0.3])
    for decision, expected in zip(decisions, (0.3, *[0.5] * 5), strict=True):
        stored = {"task": "tag", "decision": decision}
        (run / "evaluation.json").write_text(json.dumps(stored))
        assert load_tag_predictor(run).threshold == expected
    for damaged in ("[]", "{"):
        (run / "evaluation.json").write_text(damaged)
        assert load_tag_predictor(run).threshold == 0.5
    (run / "model" / "config.json").write_text("[]")
    assert task_of(locate(run)) == "classify", "loading says what is wrong"


def test_predictors_of_other_tasks_are_told_apart(tmp_path: Path, model: ImageModel) -> None:
    save_model(model, tmp_path / "tags")
    with pytest.raises(UsageError, match=r"tags gives tags\. Expected: a network that names one class a picture"):
        load_classifier(tmp_path / "tags")
    with pytest.raises(UsageError, match=r"Expected: a network that answers for every pixel"):
        load_mask_predictor(tmp_path / "tags")
    classifier = build_model("mobilenet_v1", 3, width=0.25)
    save_model(classifier, tmp_path / "classes")
    assert isinstance(load_predictor(tmp_path / "classes"), Predictor)
    with pytest.raises(
        UsageError, match=r"classes names one class a picture\. Expected: a network trained on pictures"
    ):
        load_tag_predictor(tmp_path / "classes")
    with pytest.raises(UsageError, match=r"^Predicting tags is for networks that classify pictures"):
        TagPredictor(build_model("unet_xception", 2, width=0.25, depth=1), classifier.input_contract)


def test_files_of_answers_are_manifests(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "b.png").touch()
    answers = [
        TagPrediction("a.png", ("black; white", "cat"), (0.98765432, 0.5)),
        TagPrediction("b.png", error="not a picture"),
    ]
    write_tags(tmp_path / "answers.csv", answers)
    write_tags(tmp_path / "answers.jsonl", answers)
    with open(tmp_path / "answers.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert rows == [
        {"path": "a.png", "labels": r"black\; white; cat", "probabilities": "0.987654; 0.500000", "error": ""},
        {"path": "b.png", "labels": "", "probabilities": "", "error": "not a picture"},
    ]
    lines = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert lines[0] == {
        "path": "a.png", "labels": ["black; white", "cat"], "probabilities": [0.987654, 0.5], "error": None,
    }  # fmt: skip
    for name in ("answers.csv", "answers.jsonl"):
        data = read_manifest(tmp_path / name, val_fraction=0.5)
        assert data.class_names == ("black; white", "cat")
        assert len(data.train) + len(data.val) == 2
        assert data.train.counts().sum() + data.val.counts().sum() == 2
    with pytest.raises(UsageError, match=r"Expected: a name that ends in \.csv"):
        write_tags(tmp_path / "answers.txt", answers)
