"""mixup and CutMix: who mixes with whom is a function of (seed, step, positions), and targets follow the pixels."""

import numpy as np
import pytest
import torch

from separable.data.augment import AugmentConfig, mix_batch
from separable.data.mixing import partners

NONE = AugmentConfig.none()
MIXUP, CUTMIX = AugmentConfig(mixup=0.4), AugmentConfig(cutmix=1.0)
BOTH = AugmentConfig(mixup=0.4, cutmix=1.0)
POSITIONS = torch.arange(100, 112)


def batch(size: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Picture i is the constant i + 1, class i."""
    images = (torch.arange(size).float() + 1).view(-1, 1, 1, 1).expand(size, 3, 10, 14).contiguous()
    return images, torch.eye(size)


def test_nothing_asked_nothing_done() -> None:
    images, targets = batch()
    mixed, soft = mix_batch(images, targets, NONE, 0, 0, POSITIONS)
    assert mixed is images
    assert soft is targets
    alone = mix_batch(images[:1], targets[:1], BOTH, 0, 0, POSITIONS[:1])
    assert torch.equal(alone[0], images[:1])


def test_partners_form_one_cycle_and_change_with_the_step() -> None:
    ring = partners(0, 0, POSITIONS)
    place, seen = 0, []
    for _ in range(12):
        seen.append(place)
        place = int(ring[place])
    assert sorted(seen) == list(range(12))
    assert len({tuple(partners(0, step, POSITIONS).tolist()) for step in range(20)}) == 20


def test_mixup_is_the_weighted_mean_of_pictures_and_targets() -> None:
    images, targets = batch()
    mixed, soft = mix_batch(images, targets, MIXUP, 3, 5, POSITIONS)
    partner = partners(3, 5, POSITIONS)
    for row in range(12):
        weight = float(soft[row, row])
        other = int(partner[row])
        assert float(soft[row, other]) == pytest.approx(1 - weight, abs=1e-6)
        assert float(soft[row].sum()) == pytest.approx(1, abs=1e-6)
        assert torch.allclose(mixed[row], torch.tensor(weight * (row + 1) + (1 - weight) * (other + 1)), atol=1e-5)
    assert len({round(float(soft[row, row]), 6) for row in range(12)}) == 12, "a weight of its own each"


def test_cutmix_pastes_a_box_and_counts_it() -> None:
    images, targets = batch()
    mixed, soft = mix_batch(images, targets, CUTMIX, 3, 5, POSITIONS)
    partner = partners(3, 5, POSITIONS)
    shares = []
    for row in range(12):
        pasted = mixed[row, 0] == int(partner[row]) + 1
        assert ((mixed[row, 0] == row + 1) | pasted).all()
        rows, columns = np.flatnonzero(pasted.any(1)), np.flatnonzero(pasted.any(0))
        assert int(pasted.sum()) == len(rows) * len(columns), "a rectangle"
        assert float(soft[row, row]) == pytest.approx(1 - float(pasted.float().mean()), abs=1e-6)
        shares.append(float(pasted.float().mean()))
    assert max(shares) > 0.3
    assert len(set(shares)) > 6


@pytest.mark.parametrize("config", [MIXUP, CUTMIX, BOTH])
def test_rows_and_dtypes_do_not_matter(config: AugmentConfig) -> None:
    images, targets = batch()
    mixed, soft = mix_batch(images, targets, config, 1, 2, POSITIONS)
    assert torch.equal(mix_batch(images, targets, config, 1, 2, POSITIONS)[0], mixed)
    order = torch.randperm(12)
    again, soft_again = mix_batch(images[order], targets[order], config, 1, 2, POSITIONS[order])
    assert torch.equal(again, mixed[order])
    assert torch.equal(soft_again, soft[order])
    small, _ = mix_batch((images * 10).to(torch.uint8), targets, config, 1, 2, POSITIONS)
    assert small.dtype == torch.uint8
    assert (small.float() - mixed * 10).abs().max() <= 0.5 + 1e-4


def test_both_draw_one_of_the_two_for_each_batch() -> None:
    images, targets = batch()
    cut = 0
    for step in range(40):
        mixed, _ = mix_batch(images, targets, BOTH, 0, step, POSITIONS)
        cut += bool((mixed == mixed.round()).all())
    assert 8 <= cut <= 32
