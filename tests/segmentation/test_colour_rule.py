"""What colour alone can tell, against counting by hand."""

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from separable.segmentation.colour_rule import ColourRule, fit_colour_rule, score_rule
from separable.segmentation.labels import IGNORE, Mask
from tests.segmentation.made import blobs

Pair = tuple[NDArray[np.uint8], Mask]
RED, BLUE = (200, 10, 10), (10, 10, 200)


def painted(mask: Mask, colours: list[tuple[int, int, int]]) -> NDArray[np.uint8]:
    return np.array(colours, np.uint8)[mask]


def mean_overlap(rule: ColourRule, pairs: list[Pair], classes: int) -> float:
    """By sets of pixels."""
    overlaps = []
    for index in range(classes):
        both = either = 0
        for picture, mask in pairs:
            true, said = mask == index, (rule(picture) == index) & (mask != IGNORE)
            both, either = both + int((true & said).sum()), either + int((true | said).sum())
        overlaps += [both / either] if either else []
    return float(np.mean(overlaps))


def test_classes_of_one_colour_each_are_told_without_an_error() -> None:
    mask = blobs(30, 40, 2, seed=1)
    pairs = [(painted(mask, [RED, BLUE]), mask)]
    rule = fit_colour_rule(pairs, 2)
    np.testing.assert_array_equal(rule(pairs[0][0]), mask)
    assert score_rule(rule, pairs, 2).mean_iou == 1.0
    assert not rule(np.full((2, 2, 3), 90, np.uint8)).any(), "a colour that was never seen is the background"


@pytest.mark.parametrize("seed", range(3))
def test_no_rule_by_the_counted_colours_is_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = [blobs(20, 24, 3, seed=10 * seed + number) for number in range(4)]
    greys = [np.clip(rng.normal(70 + 40 * (mask == 1) + 25 * mask, 30), 0, 255) for mask in masks]
    pairs = [
        (np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2), mask) for grey, mask in zip(greys, masks, strict=True)
    ]
    seen: Counter[tuple[int, int]] = Counter()
    for picture, mask in pairs:
        seen.update(zip((picture[..., 0] >> 4).ravel().tolist(), mask.ravel().tolist(), strict=True))
    totals = [sum(count for (_, index), count in seen.items() if index == one) for one in range(3)]
    best = 0.0
    for power in (0.0, 0.25, 0.5, 0.75, 1.0):
        table = np.zeros(4096, np.int16)
        for level in range(16):
            table[level * 273] = max(range(3), key=lambda one: seen[level, one] / totals[one] ** power)
        best = max(best, mean_overlap(ColourRule(table), pairs, 3))
    rule = fit_colour_rule(pairs, 3)
    assert mean_overlap(rule, pairs, 3) == pytest.approx(best, abs=1e-12)
    assert score_rule(rule, pairs, 3).mean_iou == pytest.approx(best, abs=1e-12)


def test_pixels_without_a_label_teach_nothing() -> None:
    mask = np.zeros((4, 4), np.int16)
    mask[0] = 1
    mask[1:3] = IGNORE
    picture = painted(np.where(mask == 1, 1, 0), [RED, BLUE])
    assert (fit_colour_rule([(picture, mask)], 2)(picture) == [[1], [0], [0], [0]]).all()


def test_the_trivial_answer_has_the_background_alone() -> None:
    mask = np.array([[0, 0, 0, 1]], np.int16)
    scores = score_rule(lambda picture: np.zeros(picture.shape[:2], np.int16), [(painted(mask, [RED, BLUE]), mask)], 2)
    assert (scores.mean_iou, scores.pixel_accuracy) == (0.375, 0.75)
