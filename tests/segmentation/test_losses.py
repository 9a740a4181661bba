"""Losses over pixels against plain numpy in fp64, their gradients, and pictures with nothing to learn from."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from separable.errors import UsageError
from separable.segmentation.losses import (
    LossTerms,
    cross_entropy_loss,
    dice_loss,
    focal_loss,
    parse_loss,
    segmentation_loss,
)
from tests.tolerances import SAME_FORMULA_FLOAT64, SEGMENTATION_LOSS_FP32

WEIGHTS = (0.3, 2.0, 1.1, 0.0)


def case(seed: int = 0, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Three pictures in fp64: one with everything, one without class 2, one with nothing labelled."""
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(size=(3, classes, 5, 7)) * 3)
    targets = torch.from_numpy(rng.integers(-1, classes, (3, 5, 7)))
    targets[1][targets[1] == 2] = 0
    targets[2] = -1
    return logits, targets


def probabilities(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(0))
    return raised / raised.sum(0)


def plain_pixels(logits: np.ndarray, truth: np.ndarray, weights: tuple[float, ...], gamma: float) -> float:
    """Pixel by pixel, as the definition is read aloud."""
    p = probabilities(logits)
    total, count = 0.0, 0
    for y in range(truth.shape[0]):
        for x in range(truth.shape[1]):
            label = truth[y, x]
            if label >= 0:
                own = p[label, y, x]
                total += weights[label] * (1 - own) ** gamma * -np.log(own)
                count += 1
    return total / count if count else 0.0


def plain_dice(logits: np.ndarray, truth: np.ndarray) -> float:
    p = probabilities(logits)
    labelled = truth >= 0
    scores = []
    for label in range(len(logits)):
        t = (truth == label)[labelled].astype(float)
        q = p[label][labelled]
        if t.sum():
            scores.append(2 * (q * t).sum() / (q.sum() + t.sum()))
    return 1 - float(np.mean(scores)) if scores else 0.0


@pytest.mark.parametrize("seed", range(4))
def test_against_the_definitions(seed: int) -> None:
    logits, targets = case(seed)
    ones = (1.0,) * 4
    for ours, plain in (
        (cross_entropy_loss(logits, targets), lambda z, t: plain_pixels(z, t, ones, 0)),
        (cross_entropy_loss(logits, targets, WEIGHTS), lambda z, t: plain_pixels(z, t, WEIGHTS, 0)),
        (focal_loss(logits, targets), lambda z, t: plain_pixels(z, t, ones, 2)),
        (focal_loss(logits, targets, 0.5, WEIGHTS), lambda z, t: plain_pixels(z, t, WEIGHTS, 0.5)),
        (dice_loss(logits, targets), plain_dice),
    ):
        expected = [plain(z, t) for z, t in zip(logits.numpy(), targets.numpy(), strict=True)]
        assert ours.shape == (3,)
        assert np.abs(ours.numpy() - expected).max() < SAME_FORMULA_FLOAT64
        assert ours[2] == 0


def test_against_torch() -> None:
    logits, targets = case()
    for k in range(2):
        theirs = functional.cross_entropy(logits[k : k + 1], targets[k : k + 1], ignore_index=-1)
        assert abs(cross_entropy_loss(logits, targets)[k] - theirs) < SAME_FORMULA_FLOAT64
    assert torch.equal(focal_loss(logits, targets, 0.0), cross_entropy_loss(logits, targets))


def test_sums_of_terms() -> None:
    logits, targets = case()
    terms = LossTerms(cross_entropy=0.5, dice=2.0, focal=0.25, gamma=1.5, class_weights=WEIGHTS)
    expected = (
        0.5 * cross_entropy_loss(logits, targets, WEIGHTS)
        + 2 * dice_loss(logits, targets)
        + 0.25 * focal_loss(logits, targets, 1.5, WEIGHTS)
    )
    assert (segmentation_loss(logits, targets, terms) - expected).abs().max() < SAME_FORMULA_FLOAT64
    assert torch.equal(segmentation_loss(logits, targets, LossTerms()), cross_entropy_loss(logits, targets))


@pytest.mark.parametrize(
    "terms",
    [
        LossTerms(),
        LossTerms(class_weights=WEIGHTS),
        LossTerms(cross_entropy=0, dice=1),
        LossTerms(cross_entropy=0, focal=1, gamma=1.5),
        LossTerms(cross_entropy=0, focal=1, gamma=0.5),
        LossTerms(0.5, 1, 0.5, 2.0, WEIGHTS),
    ],
)
def test_gradients(terms: LossTerms) -> None:
    logits, targets = case()
    assert torch.autograd.gradcheck(lambda z: segmentation_loss(z, targets, terms), (logits.requires_grad_(),))


@pytest.mark.parametrize("terms", [LossTerms(), LossTerms(0, 1), LossTerms(0, 0, 1, 0.5), LossTerms(1, 1, 1)])
def test_pixels_that_do_not_count_have_no_part(terms: LossTerms) -> None:
    logits, targets = case()
    logits.requires_grad_()
    loss = segmentation_loss(logits, targets, terms)
    loss.sum().backward()
    ignored = (targets < 0)[:, None].expand_as(logits)
    assert (logits.grad[ignored] == 0).all()
    assert (logits.grad[2] == 0).all()
    assert (logits.grad[:2][~ignored[:2]] != 0).all()
    changed = torch.where(ignored, torch.full_like(logits, 7.0), logits.detach())
    assert torch.equal(segmentation_loss(changed, targets, terms), loss.detach())


def test_an_absent_class_has_no_dice_and_does_not_hide_mistakes() -> None:
    """A picture of background alone: the other class's term is left out, yet finding it there still costs."""
    targets = torch.zeros(1, 4, 4, dtype=torch.int64)
    sure = torch.zeros(1, 2, 4, 4, dtype=torch.float64)
    sure[:, 0] = 30
    assert dice_loss(sure, targets) < 1e-12
    assert dice_loss(-sure, targets) > 1 - 1e-12
    unsure = torch.zeros(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    dice_loss(unsure, targets).sum().backward()
    assert (unsure.grad[:, 0] < 0).all()


@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_extreme_logits_stay_finite(scale: float, gamma: float) -> None:
    logits, targets = case()
    single = (logits.float() * scale).requires_grad_()
    terms = LossTerms(1, 1, 1, gamma)
    loss = segmentation_loss(single, targets, terms)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert single.grad.isfinite().all()


def test_lower_precision_is_computed_in_fp32() -> None:
    logits, targets = case()
    terms = LossTerms(1, 1, 1)
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        narrow = logits.to(dtype)
        loss = segmentation_loss(narrow, targets, terms)
        assert loss.dtype == torch.float32
        exact = segmentation_loss(narrow.double(), targets, terms)
        assert (loss - exact).abs().max() < SEGMENTATION_LOSS_FP32


def test_a_batch_in_parts_is_the_batch_and_runs_repeat_to_the_bit() -> None:
    logits, targets = case()
    terms = LossTerms(1, 1, 1, 2.0, WEIGHTS)
    whole = segmentation_loss(logits.float(), targets, terms)
    for k in range(3):
        part = segmentation_loss(logits[k : k + 1].float(), targets[k : k + 1], terms)
        assert abs(part[0] - whole[k]) < SEGMENTATION_LOSS_FP32
    gradients = []
    for _ in range(2):
        leaf = logits.float().clone().requires_grad_()
        segmentation_loss(leaf, targets, terms).sum().backward()
        gradients.append(leaf.grad)
    assert torch.equal(*gradients)


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("cross_entropy", (1, 0, 0)),
        ("dice+focal", (0, 1, 1)),
        (" 0.5 cross_entropy + 2*dice + .25 * focal ", (0.5, 2, 0.25)),
    ],
)
def test_losses_as_people_write_them(text: str, weights: tuple[float, ...]) -> None:
    assert parse_loss(text) == LossTerms(*weights)
    assert parse_loss(text, gamma=3.0, class_weights=(1.0, 2.0)) == LossTerms(*weights, 3.0, (1.0, 2.0))


@pytest.mark.parametrize("text", ["", "+", "mse", "dice + dice", "1..5 dice", "-1 dice", "dice - focal", "0 dice", "2"])
def test_losses_that_cannot_be_read(text: str) -> None:
    with pytest.raises(UsageError, match=r"Cannot read this loss|needs a term"):
        parse_loss(text)


def test_senseless_settings_and_shapes() -> None:
    logits, targets = case()
    for bad in ((logits[:, :1], targets), (logits, targets[:, 1:]), (logits[0], targets[0]), (logits[:2], targets)):
        with pytest.raises(UsageError, match="Logits and masks do not fit"):
            segmentation_loss(*bad, LossTerms())
    with pytest.raises(UsageError, match=r"differ in number\. Got: \d+\. Expected: \d+, one for each class"):
        cross_entropy_loss(logits, targets, (1.0,))
    for bad, said in (
        ({"dice": -1.0}, "dice out of range"),
        ({"gamma": float("nan")}, "gamma out of range"),
        ({"cross_entropy": 0.0}, "needs a term"),
        ({"class_weights": (1.0, -1.0)}, "Class weights out of range"),
        ({"class_weights": (0.0, 0.0)}, "Class weights out of range"),
    ):
        with pytest.raises(UsageError, match=said):
            LossTerms(**bad)
