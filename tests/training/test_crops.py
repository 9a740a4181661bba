"""Answers averaged over crops and networks, against a loop over pictures, crops and networks in Pillow and numpy."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from separable.data.folder import FolderData, PictureSet
from separable.data.loader import LoaderConfig
from separable.data.quarantine import BadPicture
from separable.models import build_model
from separable.models.base import ImageModel
from separable.training.crops import evaluate_crops
from separable.training.ensemble import MeanAnswer, by_preparation
from separable.training.evaluate import EvaluationStopped, evaluate
from tests.tolerances import CROPS_BY_PILLOW, EVALUATION_BATCHING


def network(seed: int, side: int = 35, **contract: object) -> ImageModel:
    torch.manual_seed(seed)
    net = build_model("xception", 3, width=0.125, stem_stride=1, middle_blocks=0)
    with torch.no_grad():
        net.get_classifier().weight.mul_(2000)  # answers that differ from picture to picture
    net.input_contract = replace(net.input_contract, size=(side, side), **contract)  # type: ignore[arg-type]
    return net.train()


@pytest.fixture(scope="module")
def nets() -> list[ImageModel]:
    """Two that see the same pixels and normalise them differently, one that sees others."""
    return [network(1), network(2, mean=(0.4, 0.5, 0.6)), network(3, side=42, filter="bicubic")]


def views(path: Path, side: int, kind: Image.Resampling) -> list[np.ndarray]:
    """The twelve crops, as they are written down, of a picture wider than high."""
    picture = Image.open(path).convert("RGB")
    scaled = side * 256 // 224
    width = round(picture.width * scaled / picture.height)
    picture = picture.resize((width, scaled), kind)
    left = (width - scaled) // 2
    square = picture.crop((left, 0, left + scaled, scaled))
    far, middle = scaled - side, (scaled - side) // 2
    corners = [(0, 0), (far, 0), (0, far), (far, far), (middle, middle)]
    cut = [square.crop((x, y, x + side, y + side)) for x, y in corners] + [square.resize((side, side), kind)]
    return [np.asarray(one) for view in cut for one in (view, view.transpose(Image.Transpose.FLIP_LEFT_RIGHT))]


def by_hand(nets: list[ImageModel], pictures: PictureSet) -> np.ndarray:
    rows = []
    for path in pictures.paths:
        answers = []
        for net in nets:
            contract = net.input_contract
            kind = Image.Resampling.BICUBIC if contract.filter == "bicubic" else Image.Resampling.BILINEAR
            for view in views(pictures.root / path, contract.size[0], kind):
                x = (view / 255 - contract.mean) / contract.std
                with torch.no_grad():
                    logits = net.eval()(torch.tensor(x.transpose(2, 0, 1)[None], dtype=torch.float32))[0].double()
                exponentials = np.exp(logits.numpy())
                answers.append(exponentials / exponentials.sum())
        rows.append(np.mean(answers, axis=0))
    return np.array(rows)


def test_crops_and_networks_count_alike(nets: list[ImageModel], data: FolderData) -> None:
    seen: list[tuple[int, int | None]] = []
    found = evaluate_crops(
        nets,
        data.val,
        LoaderConfig(batch_size=20),
        crops=12,
        progress=lambda *at: seen.append(at),
        names=("a", "b", "c"),
    )
    expected = by_hand(nets, data.val)
    assert np.ptp(expected[:, 0]) > 30 * CROPS_BY_PILLOW
    assert np.abs(found.probabilities - expected).max() < CROPS_BY_PILLOW
    assert np.abs(by_hand(nets[:2], data.val) - expected).max() > 10 * CROPS_BY_PILLOW, "the third could be left out"
    labels = found.labels
    assert found.loss == pytest.approx(-np.log(expected[np.arange(12), labels]).mean(), abs=10 * CROPS_BY_PILLOW)
    assert found.loss == pytest.approx(-np.log(found.probabilities[np.arange(12), labels]).mean(), abs=1e-6)
    assert labels.tolist() == data.val.labels.tolist()
    assert found.paths == data.val.paths
    assert (found.crops, found.ensemble) == (12, ("a", "b", "c"))
    assert seen[0][1] == 24, "two preparations of twelve pictures"
    assert seen[-1] == (24, 24)


def test_one_crop_of_one_network_is_the_usual_evaluation(nets: list[ImageModel], data: FolderData) -> None:
    nets[0].train()
    found = evaluate_crops(nets[:1], data.train, LoaderConfig(batch_size=8), crops=1, set_name="train")
    assert nets[0].training, "the mode was not put back"
    usual = evaluate(nets[0], data.train, LoaderConfig(batch_size=8), set_name="train")
    assert np.abs(found.probabilities - usual.probabilities).max() < EVALUATION_BATCHING
    assert found.loss == pytest.approx(usual.loss, abs=1e-6)
    assert (found.paths, found.bad, found.set_name) == (usual.paths, usual.bad, "train")
    assert set(found.to_json()) == set(usual.to_json())


def test_batches_and_workers_decide_nothing(nets: list[ImageModel], data: FolderData) -> None:
    one = evaluate_crops(nets, data.train, LoaderConfig(batch_size=7), crops=10)
    other = evaluate_crops(nets, data.train, LoaderConfig(batch_size=64, workers=2), crops=10)
    assert np.abs(one.probabilities - other.probabilities).max() < EVALUATION_BATCHING
    assert one.bad == other.bad == (BadPicture("dark/0.png", "not a picture", one.bad[0].sample),)
    assert len(one.labels) == 47
    assert "dark/0.png" not in one.paths


def test_no_more_than_a_batch_goes_through_at_once(data: FolderData, monkeypatch: pytest.MonkeyPatch) -> None:
    net, sizes = network(4), list[int]()
    forward = net.forward_features
    monkeypatch.setattr(net, "forward_features", lambda x: (sizes.append(len(x)), forward(x))[1])
    few = PictureSet(data.val.root, data.val.paths[:2], data.val.labels[:2], data.val.class_names)
    evaluate_crops([net], few, LoaderConfig(batch_size=50), crops=144)
    assert sizes == [50, 50, 44] * 2


def test_what_is_written_says_what_was_averaged(nets: list[ImageModel], data: FolderData, tmp_path: Path) -> None:
    evaluate_crops(nets[:2], data.val, LoaderConfig(batch_size=40), crops=10).write(tmp_path)
    content = json.loads((tmp_path / "evaluation.json").read_text())
    assert (content["crops"], content["ensemble"]) == (10, ["network 1", "network 2"])
    assert evaluate_crops(nets[:1], data.val, LoaderConfig(40), crops=10).to_json()["ensemble"] == []


def test_networks_that_cannot_be_averaged(nets: list[ImageModel], data: FolderData) -> None:
    def refused(*models: ImageModel, crops: int = 10) -> str:
        with pytest.raises(Exception, match=r".") as caught:
            evaluate_crops(models, data.val, LoaderConfig(4), crops=crops, names=("runs/a", "runs/b")[: len(models)])
        assert type(caught.value).__name__ == "UsageError"
        return str(caught.value)

    fix = "Expected: networks that were trained on the same classes. Leave it out, or evaluate it by itself."
    for names, said in (
        (("dark", "light", "spotted"), "spotted only there; striped not there"),
        (("striped", "light", "dark"), "the same classes in another order"),
        (("dark", "light"), "striped not there"),
    ):
        other = network(5, class_names=names)
        assert refused(nets[0], other) == f"runs/b has other classes than the pictures. Got: {said}. {fix}"
    wide = build_model("xception", 5, width=0.125, stem_stride=1, middle_blocks=0)
    assert "runs/a has other classes than the pictures. Got: 5 outputs for 3 classes." in refused(wide)
    assert "runs/a, which answers for every class by itself" in refused(network(6, answer="sigmoid"))
    assert "answers for every pixel" in refused(build_model("unet_xception", 3))
    assert "There is no such number of crops. Got: 7." in refused(nets[0], crops=7)
    assert refused() == "There is no network to evaluate."


def test_stopping(nets: list[ImageModel], data: FolderData) -> None:
    asked = iter([False, False, True])
    nets[0].train()
    with pytest.raises(EvaluationStopped):
        evaluate_crops(nets[:1], data.val, LoaderConfig(10), crops=10, should_stop=lambda: next(asked))
    assert nets[0].training


def test_nothing_readable_is_no_crash(nets: list[ImageModel], tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"nothing")
    pictures = PictureSet(tmp_path, ("x.png",), np.zeros(1, np.int64), ("a", "b", "c"))
    content = evaluate_crops(nets, pictures, LoaderConfig(4), crops=12).to_json()
    assert (content["n"], content["loss"], content["top1"]) == (0, None, None)
    assert len(content["bad"]) == 1


def test_a_picture_that_one_network_could_not_be_shown_does_not_count() -> None:
    mean = MeanAnswer(3, 2)
    logits = np.log(np.array([[[0.2, 0.8]], [[0.6, 0.4]]]))
    mean.add(np.array([0, 2]), np.array([1, 0]), logits)
    mean.add(np.array([2]), np.array([0]), logits[:1])
    found = mean.result(2)
    assert found.samples.tolist() == [2]
    assert found.probabilities == pytest.approx(np.array([[0.4, 0.6]]))
    assert np.exp(found.log_right) == pytest.approx([0.4])


def test_a_certain_mistake_has_a_finite_loss() -> None:
    mean = MeanAnswer(1, 2)
    mean.add(np.array([0]), np.array([1]), np.array([[[2000.0, 0.0], [1000.0, 0.0]]]))
    assert mean.result(2).log_right == pytest.approx([-1000 - np.log(2)])


def test_networks_share_a_preparation_where_pixels_are_the_same(nets: list[ImageModel]) -> None:
    groups = by_preparation([nets[0], nets[2], nets[1]])
    assert [[nets.index(model) for model in group] for _, group in groups] == [[0, 1], [2]]
    for change in ({"resize": "squash"}, {"crop_fraction": 0.5}, {"filter": "bicubic"}, {"size": (35, 36)}):
        other = network(7)
        other.input_contract = replace(other.input_contract, **change)  # type: ignore[arg-type]
        assert len(by_preparation([nets[0], other])) == 2
