"""Measuring a network on pictures with masks, against scikit-learn on all pixels of the set at once."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, jaccard_score

from separable.analysis.drawing_lots import draw_by_name
from separable.data.loader import LoaderConfig
from separable.data.preprocess import normalise
from separable.errors import UsageError
from separable.models import SegmentationModel, build_model, pixel_logits
from separable.segmentation.evaluate import MaskEvaluation, PairEvaluationSet, evaluate_masks
from separable.segmentation.kept_masks import KeptMasks
from separable.segmentation.loader import eval_pair_batches
from separable.segmentation.losses import LossTerms
from separable.segmentation.mask_file import MaskFile
from separable.segmentation.pairs import PairsData, read_pairs
from separable.training.evaluate import EvaluationStopped
from tests.segmentation.trainable import write_training_pairs
from tests.tolerances import EVALUATION_BATCHING, SAME_FORMULA_FLOAT64

LOADER = LoaderConfig(batch_size=4, max_bad=1.0)
TERMS = LossTerms(1.0, 0.5, class_weights=(0.5, 1.0, 2.0))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PairsData:
    return read_pairs(write_training_pairs(tmp_path_factory.mktemp("pairs") / "data", train=12))


@pytest.fixture(scope="module")
def model(data: PairsData) -> SegmentationModel:
    """Random weights, and statistics of the pictures: the answers differ from pixel to pixel."""
    torch.manual_seed(3)
    built = build_model("unet_xception", 3, width=0.25, depth=1)
    built.input_contract = replace(built.input_contract, size=(30, 36))
    assert isinstance(built, SegmentationModel)
    for module in built.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    batch = next(eval_pair_batches(data.train, built.input_contract, LoaderConfig(batch_size=12, max_bad=1.0)))
    with torch.no_grad():
        pixel_logits(built.train(), normalise(batch.images, built.input_contract))
        built.get_classifier().weight.mul_(3)
    return built.eval()


@pytest.fixture(scope="module")
def measured(model: SegmentationModel, data: PairsData) -> MaskEvaluation:
    return evaluate_masks(model, data.train, LOADER, set_name="train", loss=TERMS, pictures=True)


def answers(model: SegmentationModel, data: PairsData) -> list[tuple[np.ndarray, np.ndarray, torch.Tensor]]:
    """Truth, prediction and log-probabilities of every readable picture, one by one."""
    found = []
    model.eval()
    for batch in eval_pair_batches(data.train, model.input_contract, LOADER):
        for image, mask in zip(batch.images, batch.labels, strict=True):
            with torch.no_grad():
                logits = pixel_logits(model, normalise(image[None], model.input_contract))[0].double()
            found.append((mask.numpy(), logits.argmax(0).numpy(), torch.log_softmax(logits, 0)))
    return found


def test_scores_are_those_of_all_pixels_together(
    model: SegmentationModel, data: PairsData, measured: MaskEvaluation
) -> None:
    found = answers(model, data)
    truth = np.concatenate([mask[mask >= 0] for mask, _, _ in found])
    predicted = np.concatenate([guess[mask >= 0] for mask, guess, _ in found])
    labels = [0, 1, 2]
    assert len(np.unique(predicted)) > 1
    assert measured.counts.confusion.tolist() == confusion_matrix(truth, predicted, labels=labels).tolist()
    iou = jaccard_score(truth, predicted, labels=labels, average=None)
    dice = f1_score(truth, predicted, labels=labels, average=None)
    scores = measured.scores
    assert np.allclose(scores.iou, iou, rtol=SAME_FORMULA_FLOAT64, atol=0)
    assert np.allclose(scores.dice, dice, rtol=SAME_FORMULA_FLOAT64, atol=0)
    assert scores.pixel_accuracy == pytest.approx(accuracy_score(truth, predicted), rel=SAME_FORMULA_FLOAT64)
    means = [
        jaccard_score(mask[mask >= 0], guess[mask >= 0], labels=labels, average="macro", zero_division=0)
        for mask, guess, _ in found
        if (mask >= 0).any()
    ]
    assert abs(scores.mean_iou - np.mean(means)) > 1e6 * SAME_FORMULA_FLOAT64, "a mean of means would pass"


def test_the_loss_is_the_mean_over_pictures_with_labels(
    model: SegmentationModel, data: PairsData, measured: MaskEvaluation
) -> None:
    expected = []
    for mask, _, logs in answers(model, data):
        if not (mask >= 0).any():
            continue
        probability, counted = logs.exp().numpy(), mask >= 0
        own = np.take_along_axis(-logs.numpy(), np.maximum(mask, 0)[None].astype(int), 0)[0]
        cross = (own * np.array(TERMS.class_weights)[mask])[counted].mean()
        dices = [
            2 * probability[k][mask == k].sum() / (probability[k][counted].sum() + (mask == k).sum())
            for k in range(3)
            if (mask == k).any()
        ]
        expected.append(cross + 0.5 * (1 - np.mean(dices)))
    assert len(expected) == measured.n - 1
    assert measured.loss == pytest.approx(np.mean(expected), rel=EVALUATION_BATCHING)
    assert measured.pictures is not None
    losses = [one.loss for one in measured.pictures if not math.isnan(one.loss)]
    assert losses == pytest.approx(expected, rel=EVALUATION_BATCHING)


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_batches_do_not_matter(batch: int, model: SegmentationModel, data: PairsData, measured: MaskEvaluation) -> None:
    found = evaluate_masks(model, data.train, LoaderConfig(batch_size=batch, max_bad=1.0), loss=TERMS)
    assert found.loss == pytest.approx(measured.loss, rel=EVALUATION_BATCHING)
    assert np.abs(found.counts.confusion - measured.counts.confusion).sum() <= 2  # a tie may tip over
    assert found.pictures is None
    assert found.masks == {}


def test_files(model: SegmentationModel, data: PairsData, measured: MaskEvaluation, tmp_path: Path) -> None:
    measured.write(tmp_path)
    document = json.loads((tmp_path / "evaluation.json").read_text())
    assert {k: document[k] for k in ("task", "set", "n", "input", "boundary_tolerance", "class_names")} == {
        "task": "segment", "set": "train", "n": 9, "input": [30, 36], "boundary_tolerance": 2.0,
        "class_names": ["ground", "red", "blue"],
    }  # fmt: skip
    assert document["colours"] == [list(colour) for colour in data.train.colours]
    assert document["miou"] == pytest.approx(np.mean([row["iou"] for row in document["per_class"]]))
    assert sum(row["pixels"] for row in document["per_class"]) == sum(map(sum, document["confusion"]))
    assert {bad["path"] for bad in document["bad"]} == {"00.png", "01.jpg", "02.png"}
    with (tmp_path / "pictures.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert list(rows[0]) == ["path", "mask", "pixel_accuracy", "miou", "loss", "predicted", "truth"]
    assert [row["path"] for row in rows] == list(data.train.paths[3:])
    assert (rows[0]["path"], rows[0]["mask"]) == ("03.jpg", "03.png")
    assert [rows[0][name] for name in ("pixel_accuracy", "miou", "loss")] == ["", "", ""]
    for row, (truth, predicted, _) in zip(rows, answers(model, data), strict=True):
        read = MaskFile(tmp_path / row["truth"]).values()
        assert np.array_equal(np.where(read == 255, -1, read), truth)
        assert (MaskFile(tmp_path / row["predicted"]).values() != predicted).sum() <= 2
        if (truth >= 0).any():
            right = (truth == predicted)[truth >= 0].mean()
            assert float(row["pixel_accuracy"]) == pytest.approx(right, abs=2e-3)


def test_a_later_evaluation_leaves_no_masks_of_the_first(
    data: PairsData, model: SegmentationModel, tmp_path: Path
) -> None:
    evaluate_masks(model, data.train, LOADER, pictures=True).write(tmp_path)
    (tmp_path / "predictions" / "mine.png").write_bytes(b"a person's")
    few = evaluate_masks(model, data.val, LOADER, pictures=True)
    few.write(tmp_path)
    names = {path.name for path in (tmp_path / "predictions").iterdir()}
    assert names == {"mine.png", *(f"{k:04d}{side}.png" for k in range(5) for side in ("", "_truth"))}


def test_without_boundaries(model: SegmentationModel, data: PairsData, measured: MaskEvaluation) -> None:
    found = evaluate_masks(model, data.train, LOADER, boundary_tolerance=None)
    assert found.to_json()["boundary_f1"] is None
    assert found.to_json()["boundary_tolerance"] is None
    assert found.counts.confusion.tolist() == measured.counts.confusion.tolist()
    assert measured.to_json()["boundary_f1"] > 0


def test_nothing_labelled_is_null(model: SegmentationModel, tmp_path: Path) -> None:
    root = write_training_pairs(tmp_path / "data", train=4)
    train = read_pairs(root).train
    found = evaluate_masks(model, train, LOADER, pictures=True)  # one readable picture, none of its pixels labelled
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (found.n, document["loss"], document["miou"], document["pixel_accuracy"]) == (1, None, None, None)


def test_bf16_is_another_rounding(model: SegmentationModel, data: PairsData, measured: MaskEvaluation) -> None:
    found = evaluate_masks(model, data.train, LOADER, precision="bf16", loss=TERMS)
    assert found.loss != measured.loss
    assert found.loss == pytest.approx(measured.loss, rel=0.05)


def test_a_second_pass_reads_nothing(
    model: SegmentationModel, data: PairsData, measured: MaskEvaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = PairEvaluationSet(data.train, model.input_contract, LOADER)
    evaluate_masks(model, kept)
    monkeypatch.setattr("separable.segmentation.evaluate.eval_pair_batches", None)
    again = evaluate_masks(model, kept, loss=TERMS)
    assert again.loss == measured.loss
    assert again.bad == measured.bad


def test_stopping_and_modes(model: SegmentationModel, data: PairsData) -> None:
    model.train()
    before = [buffer.clone() for buffer in model.buffers()]
    with pytest.raises(EvaluationStopped):
        evaluate_masks(model, data.val, LOADER, should_stop=lambda: True)
    assert model.training
    evaluate_masks(model, data.val, LOADER)
    assert model.training
    assert all(torch.equal(old, new) for old, new in zip(before, model.buffers(), strict=True))


def test_a_classifier_is_refused(data: PairsData) -> None:
    classifier = build_model("mobilenet_v1", 3, width=0.25)
    with pytest.raises(UsageError, match=r"answer for every pixel\. Got: mobilenet_v1, which classifies pictures"):
        evaluate_masks(classifier, data.val, LOADER)


def test_the_worst_and_the_drawn_are_kept_and_no_more() -> None:
    rng, kept = np.random.default_rng(0), KeptMasks()
    names = [f"{number}.jpg" for number in range(200)]
    scores = [(float(a), float(b)) for a, b in rng.integers(0, 20, (200, 2)) / 20]  # ties
    scores[0] = (math.nan, math.nan)  # nothing is less than it: it would stay at the head of any sorted list
    assert 0 not in draw_by_name(names, 12)
    masks = rng.integers(-1, 3, (200, 5, 4)).astype(np.int16)
    for sample, name in enumerate(names):
        kept.offer(sample, name, scores[sample], masks[sample], masks[-sample])
        assert len(kept.pairs) <= 36
    worst = sorted((k for k in range(200) if k), key=lambda k: (*scores[k], k))[:24]
    assert set(kept.pairs) == {*worst, *draw_by_name(names, 12)}
    for sample, pair in kept.pairs.items():
        assert np.array_equal(pair.truth(), masks[sample])
        assert np.array_equal(pair.predicted(), masks[-sample])
