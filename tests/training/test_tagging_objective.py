"""What a step on tags minimises: against numpy, with mixing, auxiliary heads, parts of a batch; what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from separable.data.augment_config import AugmentConfig
from separable.data.loader import Batch
from separable.data.mixing import partners
from separable.errors import UsageError
from separable.models.build import build_model, model_spec
from separable.training.classification import Classification, task_for
from separable.training.losses import sigmoid_cross_entropy, tag_targets, training_loss
from separable.training.recipes import RECIPES
from separable.training.step import Stepper
from separable.training.tagging import Tagging, TagObjective
from tests.training.killable import small_config
from tests.training.taggable import tag_config

LABELS = torch.tensor([[0, 3, -1], [-1, -1, -1], [1, 2, 4], [4, -1, -1]], dtype=torch.int32)
DENSE = np.array([[1, 0, 0, 1, 0], [0, 0, 0, 0, 0], [0, 1, 1, 0, 1], [0, 0, 0, 0, 1]])


def batch_of(labels: torch.Tensor, size: tuple[int, int] = (32, 32)) -> Batch:
    images = torch.randint(0, 256, (len(labels), 3, *size), dtype=torch.uint8, generator=torch.manual_seed(1))
    return Batch(images, labels, torch.arange(len(labels)), torch.arange(100, 100 + len(labels)))


def config_with(tmp_path: Path, **augment: float) -> Any:
    config = tag_config(tmp_path / "run", tmp_path)
    return replace(config, recipe=replace(config.recipe, augment=AugmentConfig(**augment)))


def test_padded_labels_become_a_table() -> None:
    targets = tag_targets(LABELS, 5)
    assert targets.is_contiguous()
    assert (targets.dtype, targets.tolist()) == (torch.float32, DENSE.tolist())


def test_the_loss_is_summed_over_classes_of_each_picture() -> None:
    logits = 4 * np.random.default_rng(0).normal(size=(4, 5))
    probabilities = 1 / (1 + np.exp(-logits))
    soft = 0.7 * DENSE + 0.2
    for targets in (DENSE, soft):
        expected = -(targets * np.log(probabilities) + (1 - targets) * np.log(1 - probabilities)).sum(1)
        ours = sigmoid_cross_entropy(torch.tensor(logits), torch.tensor(targets, dtype=torch.float32))
        np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-5)
    half = sigmoid_cross_entropy(torch.tensor(logits, dtype=torch.bfloat16), torch.zeros(4, 5))
    assert half.dtype == torch.float32


def test_logits_far_out_cost_what_they_are() -> None:
    losses = sigmoid_cross_entropy(torch.tensor([[1e4, -1e4], [1e4, -1e4]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    assert losses.tolist() == [2e4, 0]


def test_auxiliary_heads_enter_with_their_weight() -> None:
    main, side, targets = torch.randn(4, 5), torch.randn(4, 5), tag_targets(LABELS, 5)
    loss, logits = training_loss((main, side), targets, 0.4, sigmoid_cross_entropy)
    parts = [sigmoid_cross_entropy(one, targets).sum().item() for one in (main, side)]
    assert loss.item() == pytest.approx(parts[0] + 0.4 * parts[1], rel=1e-6)
    assert logits is main


def test_a_network_with_an_auxiliary_head_learns_tags(tmp_path: Path) -> None:
    config = replace(config_with(tmp_path), batch_size=4)
    model = build_model("inception_v3", num_classes=5, width=0.1, aux_head=True, stem="79")
    stepper = Stepper(model, config, objective=TagObjective(config, 5), steps_per_epoch=1, batch_size=4)
    before = {name: one.detach().clone() for name, one in model.named_parameters()}
    outcome = stepper.run(batch_of(LABELS, (79, 79)), 0)
    assert (outcome.count, outcome.counting, outcome.judged) == (4, 4, 3)
    # Near to all logits 0: log 2 a class, at the auxiliary head 0.4 of it.
    assert outcome.loss == pytest.approx(1.4 * 5 * np.log(2), rel=0.3)
    assert all(not torch.equal(before[name], one) for name, one in model.named_parameters() if one.dim() == 4)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixed_pictures_have_mixed_tags(tmp_path: Path, kind: str) -> None:
    """The share of each partner in the target is that of its pixels."""
    config = config_with(tmp_path, **{kind: 1.0})
    batch = batch_of(LABELS)
    # One flat value a picture, so that a mean of pixels tells the shares.
    flat = torch.tensor([0.0, 1.0, 4.0, 16.0])[:, None, None, None].expand(4, 3, 32, 32)
    images, targets = TagObjective(config, 5).targets(batch, flat, 7)
    other = partners(config.seed, 7, batch.positions)
    means = images.mean(dim=(1, 2, 3)).double().numpy()
    values = np.array([0.0, 1.0, 4.0, 16.0])
    kept = (means - values[other]) / (values - values[other])
    np.testing.assert_allclose(targets, kept[:, None] * DENSE + (1 - kept[:, None]) * DENSE[other], atol=1e-5)
    assert ((kept > 0.01) & (kept < 0.99)).any()


def test_an_answer_is_right_where_the_first_tag_is_one_of_the_pictures(tmp_path: Path) -> None:
    objective = TagObjective(config_with(tmp_path), 5)
    _, targets = objective.targets(batch_of(LABELS), torch.zeros(4, 3, 8, 8), 0)
    first = torch.tensor([3, 0, 4, 1])
    main = torch.nn.functional.one_hot(first, 5).float()
    loss, right, judged = objective.judge(main, targets)
    assert (int(right), int(judged), loss.dim()) == (2, 3, 0)
    with_side, right, judged = objective.judge((main, -3 * main), targets)
    assert (int(right), int(judged)) == (2, 3)
    assert (with_side - loss).item() == pytest.approx(0.4 * sigmoid_cross_entropy(-3 * main, targets).sum().item())
    assert int(objective.counting(targets)) == 4
    assert objective.blank(3, (8, 8)).tolist() == [[0], [0], [0]]


def test_parts_add_up_to_the_whole_batch(tmp_path: Path) -> None:
    """With frozen batch norm: otherwise each part is normalised by itself."""
    config = config_with(tmp_path)
    rules = replace(config.recipe.regularisation, freeze_batch_norm=True, dropout=0.0, ema_decay=0.0)
    config = replace(config, recipe=replace(config.recipe, regularisation=rules), batch_size=4)
    gradients = []
    for parts in (1, 2):
        torch.manual_seed(0)
        model = build_model("mobilenet_v1", num_classes=5, width=0.25)
        changed = replace(config, accumulate=parts)
        stepper = Stepper(model, changed, objective=TagObjective(config, 5), steps_per_epoch=1, batch_size=4)
        outcome = stepper.run(batch_of(LABELS), 0)
        gradients.append((outcome.loss, outcome.judged, [one.grad.clone() for one in model.parameters()]))
    assert gradients[0][0] == pytest.approx(gradients[1][0], rel=1e-6)
    assert gradients[0][1] == gradients[1][1] == 3
    for one, other in zip(gradients[0][2], gradients[1][2], strict=True):
        assert (one - other).abs().max() <= 1e-4 * one.abs().max() + 1e-6


REFUSED = {
    "regularisation": (
        {"label_smoothing": 0.1},
        "Labels of pictures that may have several are not smoothed. Got: label_smoothing=0.1 of recipe tags. Choose "
        "--recipe tags, or set recipe.regularisation.label_smoothing=0.",
    ),
    "loss": (
        "dice",
        "A training that tags has no loss. Got: recipe tags, network xception. Choose a recipe such as tags",
    ),
    "class_weights": ("balanced", "A training that tags has no class_weights."),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_meaning_is_refused(tmp_path: Path, name: str) -> None:
    value, text = REFUSED[name]
    config = tag_config(tmp_path / "run", tmp_path)
    changed = replace(config.recipe.regularisation, **value) if isinstance(value, dict) else value
    with pytest.raises(UsageError) as caught:
        task_for(replace(config, recipe=replace(config.recipe, **{name: changed})), Tagging())
    assert str(caught.value).startswith(text)


def test_a_network_that_segments_and_another_task_are_refused(tmp_path: Path) -> None:
    config = tag_config(tmp_path / "run", tmp_path)
    with pytest.raises(UsageError, match="Training is for networks that classify pictures"):
        task_for(replace(config, model=replace(config.model, name="unet_xception")), Tagging())
    with pytest.raises(UsageError, match=r"configuration's\. Got: classify\. Expected: task: tag"):
        task_for(config, Classification())
    with pytest.raises(UsageError, match=r"configuration's\. Got: tag\. Expected: task: classify"):
        task_for(small_config(tmp_path / "run", tmp_path), Tagging())


@pytest.mark.parametrize("name", ["tags", "xception_jft"])
def test_recipes_that_fit_tags(tmp_path: Path, name: str) -> None:
    config = replace(tag_config(tmp_path / "run", tmp_path), recipe=RECIPES[name])
    Tagging().demand(config, model_spec("xception"))
