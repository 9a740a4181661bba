"""The search for near hashes against comparing everything with everything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separable.data import fingerprints
from separable.data.fingerprints import FINGERPRINT, SIDE, fingerprint, luma_and_chroma, near_pairs, perceptual_hashes


def brute_force(hashes: np.ndarray, queries: np.ndarray, radius: int) -> dict[tuple[int, int], int]:
    found = {}
    for i in range(len(hashes)):
        for j in range(i + 1, len(hashes)):
            distance = min(int(queries[i] ^ hashes[j]).bit_count(), int(queries[j] ^ hashes[i]).bit_count())
            if distance <= radius:
                found[i, j] = distance
    return found


def clustered(rng: np.random.Generator, n: int) -> np.ndarray:
    """Hashes around a few centres, so that all distances from 0 to 20 occur."""
    centres = rng.integers(0, 2**63, 4, dtype=np.uint64)
    hashes = centres[rng.integers(0, 4, n)]
    for _ in range(12):
        flip = rng.random(n) < 0.6
        hashes[flip] ^= np.uint64(1) << rng.integers(0, 64, int(flip.sum()), dtype=np.uint64)
    return hashes


def as_dictionary(found) -> dict[tuple[int, int], int]:
    pairs = list(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    return dict(zip(pairs, found.distance.tolist(), strict=True))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 60), radius=st.integers(0, 11))
def test_no_near_pair_is_missed_and_none_invented(seed: int, n: int, radius: int) -> None:
    hashes = np.unique(clustered(np.random.default_rng(seed), n))
    found = near_pairs(hashes, radius=radius)
    assert as_dictionary(found) == brute_force(hashes, hashes, radius)
    assert found.guaranteed == radius


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 40), radius=st.integers(0, 11))
def test_other_hashes_may_be_asked_for(seed: int, n: int, radius: int) -> None:
    rng = np.random.default_rng(seed)
    hashes = np.unique(clustered(rng, n))
    mirrors = rng.permutation(clustered(rng, len(hashes)))
    assert as_dictionary(near_pairs(hashes, mirrors, radius)) == brute_force(hashes, mirrors, radius)


def test_equal_hashes_are_joined_to_their_first() -> None:
    hashes = np.array([7, 9, 7, 7, 9], np.uint64) << np.uint64(20)
    assert as_dictionary(near_pairs(hashes, radius=0)) == {(0, 2): 0, (0, 3): 0, (1, 4): 0}


def test_too_many_look_alikes_are_admitted(monkeypatch: pytest.MonkeyPatch) -> None:
    # Three bits in each of the four words: 125,000 look-ups as they are, 500,000 with one flip, 875,000 with two.
    words = np.random.default_rng(0).integers(0, 8, (500, 4), dtype=np.uint64)
    hashes = np.unique(words @ np.array([1, 1 << 16, 1 << 32, 1 << 48], np.uint64))
    monkeypatch.setattr(fingerprints, "_BUDGET", 300_000)
    nearer = near_pairs(hashes, radius=11)
    assert nearer.guaranteed == 3
    assert as_dictionary(nearer).items() >= brute_force(hashes, hashes, 3).items()
    monkeypatch.setattr(fingerprints, "_BUDGET", 100)
    assert near_pairs(hashes, radius=11).guaranteed == -1
    monkeypatch.setattr(fingerprints, "_BUDGET", 10**9)
    monkeypatch.setattr(fingerprints, "_MOST", 1000)
    assert near_pairs(hashes, radius=11).guaranteed == -1


def test_portions_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.unique(clustered(np.random.default_rng(5), 80))
    whole = as_dictionary(near_pairs(hashes, radius=8))
    monkeypatch.setattr(fingerprints, "_CHUNK", 7)
    assert as_dictionary(near_pairs(hashes, radius=8)) == whole


def test_a_radius_beyond_the_words_is_refused() -> None:
    with pytest.raises(ValueError, match="radius must be between 0 and 11, got 12"):
        near_pairs(np.zeros(1, np.uint64), radius=12)


def test_hashes_ignore_brightness_and_contrast_and_use_64_frequencies() -> None:
    grey = np.random.default_rng(0).normal(size=(50, SIDE, SIDE)).astype(np.float32)
    hashes = perceptual_hashes(grey)
    assert np.array_equal(perceptual_hashes(3 * grey + 40), hashes)
    assert len(np.unique(hashes)) == 50
    # Each bit is the sign of one frequency of its own: negated, all of them turn over.
    assert np.array_equal(perceptual_hashes(-grey), ~hashes)


def test_a_fingerprint_is_means_of_areas() -> None:
    rng = np.random.default_rng(0)
    pixels = np.repeat(np.repeat(rng.integers(0, 256, (SIDE, SIDE, 1), dtype=np.uint8), 4, 0), 4, 1).repeat(3, 2)
    print_ = fingerprint(pixels)
    assert print_.shape == (FINGERPRINT,)
    luma, chroma = luma_and_chroma(print_[None])
    assert np.abs(luma[0] - pixels[::4, ::4, 0]).max() <= 1  # Pillow's luma rounds down
    assert np.abs(chroma).max() <= 1
    mirrored, _ = luma_and_chroma(print_[None], mirrored=True)
    assert np.array_equal(mirrored, luma[:, :, ::-1])
    red = np.zeros((40, 200, 3), np.uint8)
    red[:, 100:, 0] = 255
    chroma = luma_and_chroma(fingerprint(red)[None])[1]
    assert chroma[0, 0, 3, 1] > 100  # red chroma at the right
    assert abs(chroma[0, 0, 0, 1]) <= 1
    assert luma_and_chroma(fingerprint(red)[None], mirrored=True)[1][0, 0, 0, 1] > 100


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (31, 33), (700, 2)])
def test_any_size_has_a_fingerprint(size: tuple[int, int]) -> None:
    assert fingerprint(np.full((*size, 3), 77, np.uint8)).shape == (FINGERPRINT,)
