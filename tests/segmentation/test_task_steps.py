"""Steps on masks: parts of a batch, pixels without labels, odd sizes, single pictures, kernels, refusals."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from separable.blocks.accelerate import choices_of, swapped
from separable.data.augment_config import AugmentConfig
from separable.data.loader import Batch, LoaderConfig
from separable.errors import UsageError
from separable.models import SegmentationModel, build_model
from separable.ops.cpu import load_kernels
from separable.segmentation.losses import parse_loss
from separable.segmentation.pairs import PairsData, read_pairs
from separable.segmentation.task import MaskObjective, SegmentTask
from separable.training.acceleration import choose_acceleration
from separable.training.classification import task_for
from separable.training.config import ModelConfig, Recipe, RegularisationConfig, TrainConfig
from separable.training.estimate import estimate
from separable.training.loop import train
from separable.training.recipes import RECIPES
from separable.training.start import starting_model
from separable.training.step import StepOutcome, Stepper, prepare_for_training
from separable.weights import save_model
from tests.segmentation.made import blobs
from tests.segmentation.trainable import segment_config, write_training_pairs
from tests.tolerances import ACCUMULATED_GRADIENT, BF16_LOSS, UNFOLDED_FEATURES
from tests.training.killable import let_kernels_win
from tests.training.recorded import Recorder
from tests.training.test_resume import results, trace
from tests.training.test_step import largest_relative

LOADER = LoaderConfig(batch_size=5, max_bad=1.0)
FROZEN = RegularisationConfig(freeze_batch_norm=True)


def recipe_with(rules: RegularisationConfig = FROZEN, **changes: Any) -> Recipe:
    return replace(RECIPES["segment"], **{"regularisation": rules, "augment": AugmentConfig.none(), **changes})


def config_with(recipe: Recipe | None = None, **changes: Any) -> TrainConfig:
    network = ModelConfig("unet_xception", {"width": 0.25, "depth": 1}, image_size=(32, 32))
    given: dict[str, Any] = {"model": network, "batch_size": 8, "task": "segment", **changes}
    return TrainConfig(run="unused", recipe=recipe or recipe_with(), **given)


def narrow(name: str = "unet_xception", **options: Any) -> SegmentationModel:
    torch.manual_seed(0)
    model = build_model(name, 3, width=0.25, **(options or {"depth": 1}))
    assert isinstance(model, SegmentationModel)
    return model


def masks_batch(count: int = 8, size: tuple[int, int] = (32, 32)) -> Batch:
    """The first mask is blank, the others have a blank border of 0 to 3 columns: pictures count alike all the same."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8, generator=generator)
    masks = np.stack([blobs(*size, seed=number) for number in range(count)])
    masks[0] = -1
    for number in range(count):
        masks[number, :, : number % 4] = -1
    places = torch.arange(count)
    return Batch(images, torch.from_numpy(masks), places, places + 40)


def stepped(model: SegmentationModel, config: TrainConfig, batch: Batch) -> tuple[StepOutcome, dict[str, torch.Tensor]]:
    prepare_for_training(model, config)
    objective = SegmentTask().objective(config, 3, {})
    stepper = Stepper(model, config, objective=objective, steps_per_epoch=4, batch_size=config.batch_size)
    outcome = stepper.run(batch, 0)
    return outcome, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


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


DEEPLAB: dict[str, Any] = {"encoder": "mobilenet_v1"}


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


def test_what_is_estimated(root: Path, data: PairsData, tmp_path: Path) -> None:
    config = segment_config(tmp_path / "run", root)
    found = estimate(config, data, SegmentTask())
    assert found.parameters == sum(p.numel() for p in build_model("unet_xception", 3, width=0.25, depth=1).parameters())
    assert (found.input_size, found.batch_size, found.steps_per_epoch, found.epochs) == ((30, 36), 5, 3, 4)
    assert found.fits
    assert found.seconds > 0
    assert not (tmp_path / "run").exists()
    larger = replace(config, model=replace(config.model, image_size=(120, 144)), batch_size=10)
    assert estimate(larger, data, SegmentTask()).memory > found.memory


@pytest.mark.parametrize("name", ["unet", "deeplab"])
def test_the_encoder_starts_from_a_classifiers_weights(name: str, data: PairsData, tmp_path: Path) -> None:
    torch.manual_seed(8)
    trained = build_model("mobilenet_v1", 10, width=0.25)
    trained.input_contract = replace(trained.input_contract, mean=(0.1, 0.2, 0.3))
    save_model(trained, tmp_path / "classifier")
    options = {"encoder": "mobilenet_v1", "width": 0.25}
    network = ModelConfig(name, options, None, (64, 64), encoder_weights=str(tmp_path / "classifier"))
    config = config_with(model=network)
    model, sentence = starting_model(config, data.train, LOADER)
    assert sentence == f"Starting {name} from scratch, its encoder from {tmp_path / 'classifier'}."
    theirs = {name: value for name, value in trained.state_dict().items() if not name.startswith("head.")}
    ours = model.encoder.state_dict()
    assert all(torch.equal(ours[key], value) for key, value in theirs.items() if key in ours)
    assert len(ours) == len(theirs)
    assert (model.input_contract.mean, model.input_contract.size) == ((0.1, 0.2, 0.3), (64, 64))
    save_model(model, tmp_path / "whole")
    again = replace(config, model=replace(network, encoder_weights=None, weights=str(tmp_path / "whole")))
    model, sentence = starting_model(again, data.train, LOADER)
    assert sentence == f"Starting {name} from {tmp_path / 'whole'}."


@pytest.mark.shared
def test_a_folded_encoder_gets_statistics_and_keeps_its_maps(test_data: Path, data: PairsData) -> None:
    source = next((test_data / "weights").rglob("*0.25_128*.npz"))
    options = {"encoder": "mobilenet_v1", "width": 0.25}
    config = config_with(model=ModelConfig("unet", options, None, (64, 64), encoder_weights=str(source)))
    rules = replace(FROZEN, unfold_batch_norm=False)
    unfolded, sentence = starting_model(config, data.train, LOADER)
    folded, plain = starting_model(replace(config, recipe=recipe_with(rules)), data.train, LOADER)
    assert sentence.endswith("statistics measured on the training pictures.")
    assert "folded" not in plain
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before, after = (model.eval().encoder(x)[-1] for model in (folded, unfolded))
    assert (before - after).abs().max() / before.abs().max() < UNFOLDED_FEATURES
    norms = [module for module in unfolded.encoder.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert all(norm.running_mean.abs().max() > 0 for norm in norms)
    fresh = [module for module in unfolded.up1.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert fresh
    assert not any(norm.running_mean.any() for norm in fresh)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": ModelConfig("xception")}, "networks that answer for every pixel. Got: xception, which"),
        ({"recipe": recipe_with(augment=AugmentConfig(mixup=0.2))}, "with masks cannot be mixed. Got: mixup"),
        ({"recipe": RECIPES["small"]}, "Labels of pixels are not smoothed. Got: label_smoothing=0.1 of recipe small"),
        ({"recipe": replace(RECIPES["segment"], loss="hinge")}, "Cannot read this loss. Got: 'hinge'"),
        ({"task": "classify"}, "The task is not the configuration's. Got: segment. Expected: task: classify"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_refused_before_anything_is_written(
    change: dict[str, Any], message: str, root: Path, data: PairsData, tmp_path: Path
) -> None:
    config = replace(segment_config(tmp_path / "run", root), **change)
    for refused in (lambda: train(config, data, task=SegmentTask()), lambda: estimate(config, data, SegmentTask())):
        with pytest.raises(UsageError, match=re.escape(message)):
            refused()
    assert not (tmp_path / "run").exists()


def test_one_class_is_refused() -> None:
    with pytest.raises(UsageError, match="Masks of one class leave nothing to learn"):
        SegmentTask().objective(config_with(), 1, {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "segment"}, "The task is not the configuration's. Got: classify. Expected: task: segment"),
        ({"model": ModelConfig("unet_xception")}, "Training is for networks that classify pictures. Got: unet_"),
        ({"recipe": RECIPES["segment"]}, "A training that classifies has no loss. Got: recipe segment"),
    ],
)  # fmt: skip
def test_classification_refuses_what_is_for_masks(change: dict[str, Any], message: str) -> None:
    config = replace(TrainConfig(run="unused", recipe=RECIPES["small"]), **change)
    with pytest.raises(UsageError, match=re.escape(message)):
        task_for(config, None)
