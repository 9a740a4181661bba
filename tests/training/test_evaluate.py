import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from separable.data.folder import FolderData, PictureSet
from separable.data.loader import LoaderConfig
from separable.data.preprocess import normalise, prepare_file
from separable.models import build_model
from separable.models.base import ImageModel
from separable.training.evaluate import EvaluationSet, evaluate
from tests.tolerances import EVALUATION_BATCHING


@pytest.fixture(scope="module")
def model() -> ImageModel:
    torch.manual_seed(3)
    net = build_model("xception", 3, width=0.125, stem_stride=1, middle_blocks=1)
    with torch.no_grad():
        net.get_classifier().weight.mul_(3000)  # answers that differ from picture to picture
    return net.train()


def by_hand(model: ImageModel, pictures: PictureSet, path: str) -> np.ndarray:
    image = prepare_file(pictures.root / path, model.input_contract)[None]
    mode = model.training
    model.eval()
    with torch.no_grad():
        answer = torch.softmax(model(normalise(image, model.input_contract)).double(), 1)[0].numpy()
    model.train(mode)
    return answer


def test_probabilities_are_the_models(model: ImageModel, data: FolderData) -> None:
    found = evaluate(model, data.val, LoaderConfig(batch_size=5))
    assert model.training, "the mode was not put back"
    assert found.paths == data.val.paths
    assert found.labels.tolist() == data.val.labels.tolist()
    expected = np.stack([by_hand(model, data.val, path) for path in found.paths])
    assert np.ptp(expected[:, 0]) > 100 * EVALUATION_BATCHING
    assert np.abs(found.probabilities - expected).max() < EVALUATION_BATCHING
    loss = -np.log(expected[np.arange(12), found.labels]).mean()
    assert found.loss == pytest.approx(loss, abs=1e-4)
    assert found.top1 == (expected.argmax(1) == found.labels).mean()
    assert found.top5 == 1.0


def test_an_unreadable_picture_is_left_out_and_listed(model: ImageModel, data: FolderData) -> None:
    found = evaluate(model, data.train, LoaderConfig(batch_size=8), set_name="train")
    assert [(bad.path, bad.cause) for bad in found.bad] == [("dark/0.png", "not a picture")]
    assert len(found.labels) == len(found.probabilities) == 47
    assert "dark/0.png" not in found.paths
    assert found.to_json()["bad"] == [{"path": "dark/0.png", "cause": "not a picture"}]


def test_a_second_pass_reads_nothing_and_answers_alike(
    model: ImageModel, data: FolderData, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = EvaluationSet(data.train, model.input_contract, LoaderConfig(batch_size=8))
    first = evaluate(model, kept)
    monkeypatch.setattr("separable.training.evaluate.eval_batches", None)
    second = evaluate(model, kept)
    assert np.array_equal(first.probabilities, second.probabilities)
    assert first.bad == second.bad


def test_a_set_that_does_not_fit_is_read_again(
    model: ImageModel, data: FolderData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("separable.training.held_out._CACHE_BYTES", 100)
    pictures = EvaluationSet(data.val, model.input_contract, LoaderConfig(batch_size=8))
    assert np.array_equal(evaluate(model, pictures).probabilities, evaluate(model, pictures).probabilities)
    assert pictures._kept is None


def test_features_are_the_pooled_vectors(model: ImageModel, data: FolderData) -> None:
    found = evaluate(model, data.val, LoaderConfig(batch_size=12), with_features=True)
    assert found.features is not None
    assert found.features.shape == (12, model.num_features)
    weight, bias = (p.detach().numpy() for p in model.get_classifier().parameters())
    logits = found.features @ weight.T + bias
    logits -= logits.max(1, keepdims=True)
    again = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.abs(again - found.probabilities).max() < EVALUATION_BATCHING


def test_the_files_of_a_run(model: ImageModel, data: FolderData, tmp_path: Path) -> None:
    found = evaluate(model, data.val, LoaderConfig(batch_size=12))
    found.write(tmp_path)
    content = json.loads((tmp_path / "evaluation.json").read_text())
    assert set(content) == {
        *("set", "n", "loss", "top1", "top5", "class_names", "per_class", "confusion", "calibration", "bad")
    }
    assert [row["support"] for row in content["per_class"]] == [4, 4, 4]
    assert np.trace(content["confusion"]) == round(12 * content["top1"])
    with (tmp_path / "predictions.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert list(rows[0]) == ["path", "label", "predicted", "confidence", "correct", "second", "second_confidence"]
    assert [row["path"] for row in rows] == list(data.val.paths)
    assert sum(int(row["correct"]) for row in rows) == round(12 * content["top1"])
    for row, probabilities in zip(rows, found.probabilities, strict=True):
        order = np.argsort(-probabilities)
        assert [row["predicted"], row["second"]] == [data.class_names[i] for i in order[:2]]
        assert float(row["confidence"]) == pytest.approx(probabilities[order[0]], abs=1e-6)


def test_nothing_readable_is_no_crash(model: ImageModel, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(b"nothing")
    pictures = PictureSet(tmp_path, ("a/x.png",), np.zeros(1, np.int64), ("a", "b", "c"))
    found = evaluate(model, pictures, LoaderConfig(batch_size=4))
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (content["n"], content["loss"], content["top1"]) == (0, None, None)
    found.write(tmp_path)
