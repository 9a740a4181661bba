"""Keyed draws: the published generator, no state, and the right distributions."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from separable.data.random import Key, beta, random_bits, random_bytes, uniforms

MASK = (1 << 64) - 1


def philox(counter: tuple[int, ...], key: tuple[int, ...]) -> list[int]:
    """Philox4x64-10 from the paper's figure 2, in plain integers."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        a, b = 0xD2E7470EE14C6C93 * c0, 0xCA5A826395121157 * c2
        c0, c1, c2, c3 = (b >> 64) ^ c1 ^ k0, b & MASK, (a >> 64) ^ c3 ^ k1, a & MASK
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & MASK, (k1 + 0xBB67AE8584CAA73B) & MASK
    return [c0, c1, c2, c3]


def test_the_oracle_gives_the_published_answer() -> None:
    """First vector of Random123's kat_vectors for philox4x64, 10 rounds."""
    expected = [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]
    assert philox((0, 0, 0, 0), (0, 0)) == expected


def test_bits_are_philox_of_the_key() -> None:
    from separable.data.random import _purpose_word

    key = Key(seed=2**64 + 5, epoch=17, sample=123_456_789)
    words = [
        word for block in (1, 2, 3) for word in philox((block, 0, key.epoch, key.sample), (5, _purpose_word("crop")))
    ]
    assert random_bits(key, "crop", 12).tolist() == words


def test_a_draw_depends_on_its_name_alone() -> None:
    names = [
        (Key(seed, epoch, sample), purpose)
        for seed in (0, 1)
        for epoch in (0, 1)
        for sample in (0, 5)
        for purpose in ("crop", "flip")
    ]
    first = [uniforms(key, purpose, 6) for key, purpose in names]
    backwards = [uniforms(key, purpose, 6) for key, purpose in reversed(names)]
    assert first == backwards[::-1]
    assert len({tuple(draw) for draw in first}) == len(names)
    assert uniforms(*names[0], 3) == first[0][:3], "a longer draw begins with the shorter one"


def test_threads_do_not_disturb_each_other() -> None:
    keys = [Key(0, 0, sample) for sample in range(400)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda key: uniforms(key, "crop", 9), keys))
    assert together == [uniforms(key, "crop", 9) for key in keys]


def test_uniforms_are_uniform() -> None:
    draws = np.sort([value for sample in range(2500) for value in uniforms(Key(0, 0, sample), "test", 8)])
    assert draws[0] >= 0
    assert draws[-1] < 1
    distance = np.abs(draws - (np.arange(draws.size) + 0.5) / draws.size).max()
    assert distance < 1.95 / math.sqrt(draws.size), "Kolmogorov-Smirnov, 1 in 1,000"


def test_bytes_are_uniform_and_keyed() -> None:
    values = random_bytes(Key(1, 2, 3), "noise", 100_001)
    assert values.shape == (100_001,)
    counts = np.bincount(values, minlength=256)
    assert ((counts - values.size / 256) ** 2 / (values.size / 256)).sum() < 255 + 5 * math.sqrt(2 * 255)
    assert np.array_equal(values[:11], random_bytes(Key(1, 2, 3), "noise", 11))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_beta_has_its_moments(alpha: float) -> None:
    draws = np.array([beta(Key(0, 0, sample), "mix", alpha) for sample in range(3000)])
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(draws.mean() - 0.5) < 5 * math.sqrt(variance / draws.size)
    assert abs(draws.var() / variance - 1) < 0.1
    assert draws.min() >= 0
    assert draws.max() <= 1
