"""Measuring tags: against the answers of the network written out in numpy, and what the files say."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from separable.analysis.average_precision import MeanAveragePrecision
from separable.data.loader import LoaderConfig
from separable.data.manifest import read_manifest
from separable.data.manifest_loader import eval_tag_batches
from separable.data.manifest_rows import split_labels
from separable.data.manifest_set import TagData
from separable.data.preprocess import normalise
from separable.errors import UsageError
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.training.evaluate import EvaluationStopped
from separable.training.tag_evaluation import TagEvaluation, TagEvaluationSet, evaluate_tags
from tests.tolerances import SAME_FORMULA_FLOAT64
from tests.training.taggable import NAMES, write_tagged_pictures

LOADER = LoaderConfig(batch_size=4)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TagData:
    return read_manifest(write_tagged_pictures(tmp_path_factory.mktemp("tags") / "data", train=23))


@pytest.fixture(scope="module")
@torch.no_grad()
def model(data: TagData) -> ImageModel:
    """A network that answers otherwise for every picture; its mode is that of training, its statistics stay."""
    torch.manual_seed(3)
    built = build_model("mobilenet_v1", num_classes=len(NAMES), width=0.25)
    built.input_contract = contract = replace(built.input_contract, size=(40, 44), crop_fraction=1.0)
    [batch] = eval_tag_batches(data.train, contract, LoaderConfig(batch_size=23))
    for momentum in (1.0, 0.0):
        for module in built.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = momentum
        built.train()(normalise(batch.images, contract))
    built.get_classifier().weight.normal_(0, 0.1)
    built.get_classifier().bias.uniform_(-1, 1)
    return built


@pytest.fixture(scope="module")
def found(model: ImageModel, data: TagData) -> TagEvaluation:
    """On the pictures to train on, of which the first one is not readable."""
    return evaluate_tags(model, data.train, LOADER, weights=data.weights)


@torch.no_grad()
def answers(model: ImageModel, data: TagData) -> tuple[np.ndarray, np.ndarray]:
    """Logits in fp64 of the readable pictures, and a table of what they show."""
    logits, truth = [], []
    model.eval()
    for batch in eval_tag_batches(data.train, model.input_contract, LOADER):
        logits.append(model(normalise(batch.images, model.input_contract)).double().numpy())
        for sample in batch.samples.tolist():
            truth.append(np.isin(np.arange(len(NAMES)), data.train.tags(sample)))
    model.train()
    return np.concatenate(logits), np.array(truth)


def test_figures_are_those_of_the_answers(found: TagEvaluation, model: ImageModel, data: TagData) -> None:
    assert model.training
    logits, truth = answers(model, data)
    assert np.std(logits, axis=0).min() > 0.05, "the network does not look at the pictures"
    probabilities = 1 / (1 + np.exp(-logits))
    losses = -np.where(truth, np.log(probabilities), np.log1p(-probabilities)).sum(1)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-4)
    assert found.loss == pytest.approx(losses.mean(), rel=1e-5)
    metric = MeanAveragePrecision(len(NAMES))
    metric.add(logits, np.nonzero(truth)[1], np.concatenate([[0], np.cumsum(truth.sum(1))]))
    expected = metric.result(data.weights)
    assert found.n == len(truth) == 22
    assert found.map100 == pytest.approx(expected.mean, abs=SAME_FORMULA_FLOAT64)
    assert found.weighted_map100 == pytest.approx(expected.weighted_mean, abs=SAME_FORMULA_FLOAT64)
    assert found.map100 != pytest.approx(found.weighted_map100, abs=1e-4)
    np.testing.assert_array_equal(np.isnan(found.average_precision), ~truth.any(axis=1))
    labelled = truth.any(axis=1)
    first = truth[labelled, logits[labelled].argmax(1)]
    assert found.precision1 == pytest.approx(first.mean())
    np.testing.assert_allclose(found.probabilities, -np.sort(-probabilities, axis=1), rtol=1e-4)
    by_frequency = evaluate_tags(model, data.train, LOADER)
    assert by_frequency.weighted_map100 == pytest.approx(metric.result().weighted_mean, abs=SAME_FORMULA_FLOAT64)


def test_classes_are_scored_over_pictures(found: TagEvaluation, model: ImageModel, data: TagData) -> None:
    logits, truth = answers(model, data)
    rows = found.per_class()
    assert [row["name"] for row in rows[-1:]] != ["never"]
    assert {row["name"] for row in rows} == set(NAMES) - {"never"}
    support = data.train.counts()
    assert [support[NAMES.index(str(row["name"]))] for row in rows] == sorted(support, reverse=True)[:4]
    for row in rows:
        k = NAMES.index(str(row["name"]))
        assert row["support"] == truth[:, k].sum()
        expected = average_precision_score(truth[:, k], logits[:, k])
        assert row["average_precision"] == pytest.approx(expected, abs=SAME_FORMULA_FLOAT64)


def test_what_is_written(found: TagEvaluation, data: TagData, tmp_path: Path) -> None:
    found.write(tmp_path)
    said = json.loads((tmp_path / "evaluation.json").read_text())
    assert list(said) == [
        *("task", "set", "n", "tags", "loss", "map100", "weighted_map100", "precision1"),
        *("class_names", "decision", "per_class", "bad"),
    ]
    assert (said["task"], said["set"], said["n"], said["map100"]) == ("tag", "val", 22, found.map100)
    assert said["tags"] == len(data.train.indices) - len(data.train.tags(data.train.paths.index("images/train0.png")))
    assert said["bad"] == [{"path": "images/train0.png", "cause": "not a picture"}]
    with (tmp_path / "predictions.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["path"] for row in rows] == [path for path in data.train.paths if path != "images/train0.png"]
    for number, row in enumerate(rows):
        shown = data.train.tags(data.train.paths.index(row["path"]))
        assert split_labels(row["labels"]) == [NAMES[k] for k in shown]
        assert split_labels(row["predicted"]) == [NAMES[k] for k in found.ids[number]]
        shares = [float(text) for text in row["confidence"].split("; ")]
        assert shares == sorted(shares, reverse=True)
        assert shares == pytest.approx(found.probabilities[number].tolist(), abs=1e-6)
        score = found.average_precision[number]
        assert row["average_precision"] == ("" if math.isnan(score) else f"{score:.6f}")


def test_a_row_has_twenty_tags_or_as_many_as_the_picture(data: TagData, tmp_path: Path) -> None:
    """Of 150 classes, 30 of which the first picture shows."""
    offsets = np.array([0, 30, 31])
    pictures = data.train.chosen([1, 2])
    names = tuple(map(str, range(150)))
    shown = np.append(np.arange(30), 7).astype(np.int32)
    pictures = type(pictures)(pictures.root, pictures.paths, shown, offsets, names)
    wide = build_model("mobilenet_v1", num_classes=150, width=0.25)
    found = evaluate_tags(wide, pictures, LOADER)
    assert found.ids.shape == found.probabilities.shape == (2, 100)
    assert len(found.frequent) == len(found.per_class()) == 30
    assert found.frequent[0] == 7, "the only one that both show"
    found.write(tmp_path)
    with (tmp_path / "predictions.csv").open(newline="") as handle:
        assert [len(split_labels(row["predicted"])) for row in csv.DictReader(handle)] == [30, 20]


def test_batches_and_the_memory_of_pictures_change_no_ranking(found: TagEvaluation, model: Any, data: TagData) -> None:
    kept = TagEvaluationSet(data.train, model.input_contract, LoaderConfig(batch_size=23, workers=1), data.weights)
    first, again = evaluate_tags(model, kept), evaluate_tags(model, kept)
    assert (first.map100, first.loss, first.bad) == (again.map100, again.loss, again.bad)
    assert first.loss == pytest.approx(found.loss, rel=1e-5)
    assert first.map100 == pytest.approx(found.map100, abs=SAME_FORMULA_FLOAT64)
    assert first.weighted_map100 == pytest.approx(found.weighted_map100, abs=SAME_FORMULA_FLOAT64)


def test_bf16_stays_near(found: TagEvaluation, model: ImageModel, data: TagData) -> None:
    half = evaluate_tags(model, data.train, LOADER, precision="bf16")
    assert half.loss != found.loss
    assert half.loss == pytest.approx(found.loss, rel=0.05)


def test_nan_is_no_ranking_and_no_crash(model: ImageModel, data: TagData, tmp_path: Path) -> None:
    bias = model.get_classifier().bias
    before = bias.detach().clone()
    with torch.no_grad():
        bias[2] = math.nan
    lost = evaluate_tags(model, data.val, LOADER)
    with torch.no_grad():
        bias.copy_(before)
    assert all(math.isnan(value) for value in (lost.loss, lost.map100, lost.weighted_map100, lost.precision1))
    lost.write(tmp_path)
    said = json.loads((tmp_path / "evaluation.json").read_text())
    assert said["loss"] is said["map100"] is said["per_class"][0]["average_precision"] is None
    with (tmp_path / "predictions.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == lost.n == len(data.val)
    assert {(row["predicted"], row["average_precision"]) for row in rows} == {("", "")}


def test_nothing_readable_and_nothing_tagged(model: ImageModel, data: TagData, tmp_path: Path) -> None:
    bad = evaluate_tags(model, data.train.chosen([data.train.paths.index("images/train0.png")]), LOADER)
    assert (bad.n, math.isnan(bad.loss), math.isnan(bad.map100), len(bad.bad)) == (0, True, True, 1)
    blank = evaluate_tags(model, data.val.chosen([data.val.paths.index("images/val4.png")]), LOADER)
    assert (blank.n, math.isfinite(blank.loss), math.isnan(blank.map100), blank.per_class()) == (1, True, True, [])
    for one in (bad, blank):
        one.write(tmp_path)
        assert json.loads((tmp_path / "evaluation.json").read_text())["map100"] is None


def test_a_stop_is_heard(model: ImageModel, data: TagData) -> None:
    with pytest.raises(EvaluationStopped):
        evaluate_tags(model, data.val, LOADER, should_stop=lambda: True)
    assert model.training


def test_networks_that_segment_are_refused(data: TagData) -> None:
    with pytest.raises(UsageError, match="Evaluation on pictures with labels"):
        evaluate_tags(build_model("unet_xception", num_classes=2, width=0.25, depth=1), data.val, LOADER)
