"""The keyed permutation: one to one for every size, the same scalar and vectorised, and random enough to train on."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separable.data.order import permute, shuffled


@given(n=st.integers(1, 3000), seed=st.integers(-(2**70), 2**70), epoch=st.integers(0, 2**40))
@settings(max_examples=60, deadline=None)
def test_it_is_a_bijection(n: int, seed: int, epoch: int) -> None:
    assert np.array_equal(np.sort(shuffled(n, seed, epoch)), np.arange(n))


@given(n=st.integers(1, 2**62), seed=st.integers(0, 2**64), epoch=st.integers(0, 2**64), data=st.data())
@settings(max_examples=60, deadline=None)
def test_scalar_and_vectorised_agree_at_any_size(n: int, seed: int, epoch: int, data: st.DataObject) -> None:
    some = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=20, unique=True))
    together = permute(np.array(some), n, seed, epoch)
    assert together.tolist() == [permute(index, n, seed, epoch) for index in some]
    assert len(set(together.tolist())) == len(some)
    assert together.min() >= 0
    assert together.max() < n


def test_the_order_never_changes_between_versions() -> None:
    """A run that resumes with a later version has to go on in the same order."""
    assert [permute(i, 10, 0, 0) for i in range(10)] == GOLDEN_10
    assert [permute(i, 1_281_167, 42, 7) for i in range(4)] == GOLDEN_IMAGENET


GOLDEN_10 = [8, 4, 3, 7, 6, 2, 0, 9, 5, 1]
GOLDEN_IMAGENET = [580781, 361720, 1266606, 788706]


def test_every_place_is_equally_likely_for_every_sample() -> None:
    """Chi-square over 1,200 epochs of 12 samples, within 5 deviations of its mean."""
    n, epochs = 12, 1200
    counts = np.zeros((n, n))
    for epoch in range(epochs):
        counts[np.arange(n), shuffled(n, 3, epoch)] += 1
    chi_square = ((counts - epochs / n) ** 2 / (epochs / n)).sum()
    assert (n - 1) ** 2 - 5 * math.sqrt(2) * (n - 1) < chi_square < (n - 1) ** 2 + 5 * math.sqrt(2) * (n - 1)


@pytest.mark.parametrize("n", [100, 4096, 10_007])
def test_neighbours_and_epochs_are_unrelated(n: int) -> None:
    """Correlations of a random permutation are normal with deviation 1/sqrt(n)."""
    orders = [shuffled(n, seed, epoch).astype(float) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    pairs = [(orders[0][:-1], orders[0][1:]), (orders[0], orders[1]), (orders[0], orders[2]), (orders[1], orders[2])]
    pairs.append((orders[0], np.arange(n)))
    for first, second in pairs:
        assert abs(np.corrcoef(first, second)[0, 1]) < 5 / math.sqrt(n)


def test_two_samples_reach_both_orders() -> None:
    assert {tuple(shuffled(2, 0, epoch)) for epoch in range(40)} == {(0, 1), (1, 0)}


@pytest.mark.parametrize(("index", "n"), [(-1, 5), (5, 5), (0, 0), (0, 2**63)])
def test_out_of_range_is_refused(index: int, n: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        permute(index, n, 0, 0)
    with pytest.raises(ValueError, match="must be"):
        permute(np.array([index]), n, 0, 0)
