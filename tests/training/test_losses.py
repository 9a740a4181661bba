import pytest
import torch
from torch import nn

from separable.training.keys import dropout_keys
from separable.training.losses import soft_targets, training_loss


def test_label_smoothing_is_torchs() -> None:
    logits, labels = torch.randn(6, 5), torch.tensor([0, 4, 2, 2, 1, 3])
    loss, main = training_loss(logits, soft_targets(labels, 5, 0.1), 0.4)
    expected = nn.functional.cross_entropy(logits, labels, label_smoothing=0.1, reduction="sum")
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert main is logits


def test_the_auxiliary_head_enters_with_its_weight() -> None:
    logits, auxiliary, labels = torch.randn(4, 3), torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    loss, main = training_loss((logits, auxiliary), soft_targets(labels, 3), 0.4)
    parts = [nn.functional.cross_entropy(values, labels, reduction="sum").item() for values in (logits, auxiliary)]
    assert loss.item() == pytest.approx(parts[0] + 0.4 * parts[1], rel=1e-6)
    assert main is logits


def test_dropout_keys_depend_on_seed_step_and_position_alone() -> None:
    positions = torch.arange(100, 200)
    keys = dropout_keys(3, 7, positions)
    assert torch.equal(keys[40:60], dropout_keys(3, 7, positions[40:60]))
    assert len(set(keys.tolist())) == 100
    for other in (dropout_keys(4, 7, positions), dropout_keys(3, 8, positions), dropout_keys(3, 7, positions + 100)):
        assert not set(other.tolist()) & set(keys.tolist())
    assert dropout_keys(-1, 2**40, torch.tensor([2**40])).dtype == torch.int64
