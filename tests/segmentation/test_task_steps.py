"""Steps on masks: parts of a batch, pixels without labels, odd sizes, single pictures, kernels."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from separable.blocks.accelerate import choices_of, swapped
from separable.data.loader import Batch
from separable.errors import UsageError
from separable.ops.cpu import load_kernels
from separable.segmentation.losses import parse_loss
from separable.segmentation.pairs import PairsData, read_pairs
from separable.segmentation.task import MaskObjective, SegmentTask
from separable.training.acceleration import choose_acceleration
from separable.training.config import RegularisationConfig
from separable.training.loop import train
from separable.training.recipes import RECIPES
from separable.training.step import prepare_for_training
from tests.segmentation.steps import DEEPLAB, config_with, masks_batch, narrow, recipe_with, stepped
from tests.segmentation.trainable import segment_config, write_training_pairs
from tests.tolerances import ACCUMULATED_GRADIENT, BF16_LOSS
from tests.training.killable import let_kernels_win
from tests.training.recorded import Recorder
from tests.training.test_resume import results, trace
from tests.training.test_step import largest_relative


@pytest.mark.parametrize("loss", ["cross_entropy", "dice + 2 focal"])
@pytest.mark.parametrize("count", [8, 7])
def test_parts_add_up_to_the_whole_batch(loss: str, count: int) -> None:
    """Pictures differ in how many pixels count; a mean over the pixels of a part would be another gradient."""
    whole = config_with(recipe_with(loss=loss))
    options = {"depth": 1, "dropout": 0.5}
    one, gradients = stepped(narrow(**options), whole, masks_batch(count))
    other, parts = stepped(narrow(**options), replace(whole, accumulate=4), masks_batch(count))
    assert largest_relative(gradients, parts) < ACCUMULATED_GRADIENT
    assert one.loss == pytest.approx(other.loss, rel=ACCUMULATED_GRADIENT)
    assert (one.correct, one.judged, one.count) == (other.correct, other.judged, count)


def test_the_loss_is_the_mean_over_pictures_and_an_answer_is_a_pixels() -> None:
    batch, config = masks_batch(), config_with(recipe_with(loss="cross_entropy"))
    outcome, _ = stepped(narrow(), config, batch)
    alone = [
        stepped(
            narrow(),
            config,
            Batch(*(part[k : k + 1] for part in (batch.images, batch.labels, batch.samples, batch.positions))),
        )[0]
        for k in range(8)
    ]
    assert outcome.loss == pytest.approx(sum(one.loss for one in alone) / 7, rel=1e-5), "the first has no label"
    assert (outcome.count, outcome.counting) == (8, 7)
    assert outcome.judged == int((batch.labels >= 0).sum()) == sum(one.judged for one in alone)
    assert outcome.correct == sum(one.correct for one in alone)
    assert (alone[0].loss, alone[0].judged, alone[0].correct) == (0.0, 0, 0)


@pytest.mark.parametrize("loss", ["cross_entropy", "dice", "focal", "cross_entropy + dice + focal"])
def test_a_batch_without_a_label_costs_nothing_and_moves_nothing(loss: str) -> None:
    batch = masks_batch()
    batch.labels[:] = -1
    rules = replace(RECIPES["segment"].regularisation, freeze_batch_norm=False)
    model = narrow()
    outcome, gradients = stepped(model, config_with(recipe_with(rules, loss=loss)), batch)
    assert (outcome.loss, outcome.correct, outcome.judged, outcome.count) == (0.0, 0, 0, 8)
    assert all(not gradient.any() for gradient in gradients.values())
    assert all(value.isfinite().all() for value in model.state_dict().values())


@pytest.mark.parametrize("parts", [1, 4])
def test_pictures_without_a_label_do_not_dilute_the_others(parts: int) -> None:
    """Half of the batch is blank, two whole parts of it: loss and gradient are those of the other half alone."""
    batch, config = masks_batch(), config_with(recipe_with(loss="cross_entropy + dice"))
    batch.labels[:4] = -1
    half = Batch(*(part[4:] for part in (batch.images, batch.labels, batch.samples, batch.positions)))
    alone, gradients = stepped(narrow(depth=1), config, half)
    outcome, found = stepped(narrow(depth=1), replace(config, accumulate=parts), batch)
    assert (outcome.count, outcome.counting, alone.counting) == (8, 4, 4)
    assert outcome.loss == pytest.approx(alone.loss, rel=1e-5)
    assert largest_relative(gradients, found) < ACCUMULATED_GRADIENT


def test_logits_fit_pictures_of_any_size() -> None:
    """The network leaves 4n pixels a side: a picture is padded by its edge, and the loss is that of its own pixels."""
    config = config_with(recipe_with(loss="cross_entropy"))
    model, batch = narrow(), masks_batch(4, (29, 34))
    padded = np.pad(batch.images.numpy().astype(np.float32), ((0, 0), (0, 0), (0, 3), (0, 2)), mode="edge")
    with torch.no_grad():
        logits = model.eval()(torch.from_numpy(padded))[:, :, :29, :34]
    losses = torch.nn.functional.cross_entropy(logits, batch.labels.long(), ignore_index=-1, reduction="none")
    counted = (batch.labels >= 0).sum((1, 2))
    outcome, gradients = stepped(model, config, batch)
    assert outcome.loss == pytest.approx(float((losses.sum((1, 2)) / counted)[counted > 0].mean()), rel=1e-5)
    assert outcome.judged == int(counted.sum())
    assert all(gradient.any() for gradient in gradients.values())


def test_weights_of_classes_reach_the_loss() -> None:
    config = config_with(recipe_with(loss="cross_entropy", class_weights="balanced"))
    objective = SegmentTask().objective(config, 3, {"class_weights": [1.0, 0.5, 2.0]})
    assert isinstance(objective, MaskObjective)
    assert objective.terms == parse_loss("cross_entropy", class_weights=(1.0, 0.5, 2.0))
    plain = SegmentTask().objective(config, 3, {})
    batch = masks_batch()
    logits = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert objective.judge(logits, batch.labels)[0] != plain.judge(logits, batch.labels)[0]


def test_bf16_stays_near_fp32() -> None:
    found = [
        stepped(narrow(), config_with(precision=precision), masks_batch())[0].loss for precision in ("fp32", "bf16")
    ]
    assert found[0] != found[1]
    assert abs(found[0] - found[1]) < BF16_LOSS * found[0]


def test_one_picture_where_maps_are_single_values_is_refused_with_what_to_do() -> None:
    """DeepLab's image pooling is 1x1 at any size: batch norm needs two pictures."""
    config = config_with(recipe_with(RegularisationConfig()), batch_size=1)
    with pytest.raises(UsageError, match=r"single value.*1x1.*Got: one picture at a time.*freeze_batch_norm=true"):
        stepped(narrow("deeplab", **DEEPLAB), config, masks_batch(1, (64, 64)))
    frozen = replace(config, recipe=recipe_with())
    assert stepped(narrow("deeplab", **DEEPLAB), frozen, masks_batch(1, (64, 64)))[0].count == 1
    # An odd number of pictures is cut into parts of two and three, never one.
    odd = replace(config, batch_size=6, accumulate=3)
    assert stepped(narrow("deeplab", **DEEPLAB), odd, masks_batch(5, (64, 64)))[0].count == 5


def test_the_timing_of_kernels_refuses_a_single_picture_likewise(monkeypatch: pytest.MonkeyPatch) -> None:
    let_kernels_win(monkeypatch.setattr)
    model, config = narrow("deeplab", **DEEPLAB), config_with(recipe_with(RegularisationConfig()), batch_size=1)
    model.input_contract = replace(model.input_contract, size=(64, 64))
    prepare_for_training(model, config)
    with pytest.raises(UsageError, match="single value"):
        choose_acceleration(model, config, Recorder(), batch_size=1, steps=10)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_training_pairs(tmp_path_factory.mktemp("pairs") / "data")


@pytest.fixture(scope="module")
def data(root: Path) -> PairsData:
    return read_pairs(root)


def test_kernels_are_chosen_and_replayed_to_the_same_bits(
    root: Path, data: PairsData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not load_kernels(automatic=False).available:
        pytest.skip("the CPU kernels cannot be built here")
    let_kernels_win(monkeypatch.setattr)
    whole = segment_config(tmp_path / "whole", root, epochs=2)
    train(whole, data, task=SegmentTask())
    chosen = json.loads((tmp_path / "whole" / "environment.json").read_text())["chosen"]["acceleration"]
    assert any("train backward float32" in modes for modes in chosen["choices"].values())
    said = Recorder(stop_after=4)
    stopped = replace(whole, run=str(tmp_path / "stopped"))
    train(stopped, data, task=SegmentTask(), display=said, stop=said.stop)
    monkeypatch.setattr(swapped, "_time_both", None)  # would be called
    train(stopped, data, task=SegmentTask(), resume=True)
    assert trace(tmp_path / "stopped") == trace(tmp_path / "whole")
    assert results(tmp_path / "stopped") == results(tmp_path / "whole")
    plain = replace(whole, run=str(tmp_path / "plain"), accelerate=False)
    train(plain, data, task=SegmentTask())
    assert trace(tmp_path / "plain") != trace(tmp_path / "whole"), "the kernels did not compute: their bits are others"


@pytest.mark.parametrize("name", ["unet", "deeplab"])
def test_kernels_serve_networks_with_encoders(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not load_kernels(automatic=False).available:
        pytest.skip("the CPU kernels cannot be built here")
    let_kernels_win(monkeypatch.setattr)
    model, config = narrow(name, **DEEPLAB), config_with()
    model.input_contract = replace(model.input_contract, size=(64, 64))
    prepare_for_training(model, config)
    found = choose_acceleration(model, config, Recorder(), batch_size=4, steps=10)
    assert found["choices"]
    assert choices_of(model) == found["choices"]
    assert stepped(model, config, masks_batch(2, (64, 64)))[0].count == 2
