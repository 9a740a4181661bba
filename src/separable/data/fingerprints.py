"""Perceptual hashes: 64 bits that copies of a picture share, and all pairs of hashes that differ in few bits.

The hash is the sign of 64 low-frequency DCT coefficients of the grey picture squeezed to 32x32 (after Zauner,
"Implementation and Benchmarking of Perceptual Image Hash Functions", 2010). Pairs come from multi-index hashing
(Norouzi, Punjani and Fleet, arXiv:1307.2982): cut into four words, two hashes that differ in at most 4(f+1)-1 bits
agree up to f bits in one of the words, which is looked up. So nobody compares everything with everything.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["FINGERPRINT", "SIDE", "NearPairs", "fingerprint", "luma_and_chroma", "near_pairs", "perceptual_hashes"]

SIDE = 32
"""Side of the grey thumbnail that hashes and comparisons are made from."""
_CHROMA_SIDE = 4
FINGERPRINT = SIDE * SIDE + 2 * _CHROMA_SIDE**2
"""Bytes kept a picture: 1,056."""

_WORDS, _WORD_BITS = 4, 16
_CHUNK = 2_000_000  # pairs held at once: about 100 MB
_BUDGET = 1_000_000_000  # pairs looked at in all: about a minute
_MOST = 20_000_000  # pairs kept, some of them several times: 160 MB
_ONES = np.array([number.bit_count() for number in range(1 << _WORD_BITS)], np.uint8)


@dataclass(frozen=True)
class NearPairs:
    """`first[k] < second[k]` differ in `distance[k]` bits; `guaranteed` is the radius within which no pair is missing.

    Hashes that are equal in everything are joined to the first of them only. `guaranteed` is -1 where there were too
    many look-alikes to look for pairs at all.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    distance: NDArray[np.uint8]
    guaranteed: int


def fingerprint(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(height, width, 3) RGB to `FINGERPRINT` bytes: luma at 32x32, then the two chromas at 4x4, all means of areas."""
    picture = Image.fromarray(pixels)
    # Luma of the full picture costs more than all the rest; the mean of a channel is the channel of the mean.
    box = min(picture.size) >= SIDE
    small = picture.resize((SIDE, SIDE), Image.Resampling.BOX if box else Image.Resampling.BILINEAR).convert("YCbCr")
    coarse = small.resize((_CHROMA_SIDE, _CHROMA_SIDE), Image.Resampling.BOX)
    return np.concatenate([np.asarray(small)[..., 0].ravel(), np.asarray(coarse)[..., 1:].ravel()])


def luma_and_chroma(prints: NDArray[np.uint8], *, mirrored: bool = False) -> tuple[NDArray[np.float32], ...]:
    """Fingerprints (N, FINGERPRINT), or those of the mirror images, as (N, 32, 32) luma and (N, 4, 4, 2) chroma."""
    luma = prints[:, : SIDE * SIDE].reshape(-1, SIDE, SIDE).astype(np.float32)
    chroma = prints[:, SIDE * SIDE :].reshape(-1, _CHROMA_SIDE, _CHROMA_SIDE, 2).astype(np.float32) - 128
    return (luma[:, :, ::-1], chroma[:, :, ::-1]) if mirrored else (luma, chroma)


def perceptual_hashes(grey: NDArray[np.float32]) -> NDArray[np.uint64]:
    """(N, 32, 32) grey pictures, in any linear scale, to N hashes; the mean brightness is left out."""
    basis, (rows, columns) = _dct(), _low_frequencies()
    spectrum = basis @ grey @ basis.T
    bits = np.ascontiguousarray(np.packbits(spectrum[:, rows, columns] > 0, axis=1))
    return np.asarray(bits.view(">u8")[:, 0], np.uint64)


def near_pairs(hashes: NDArray[np.uint64], queries: NDArray[np.uint64] | None = None, radius: int = 11) -> NearPairs:
    """All pairs i < j whose hashes differ in at most `radius` bits.

    Args:
        hashes: (N,) 64-bit words.
        queries: (N,) other hashes of the same pictures, of their mirror images say: then pairs with
            distance(queries[i], hashes[j]) <= radius.
        radius: 0 to 11. Time and memory grow with the number of look-alikes, and are bounded: where there are too
            many, the search looks less far, and `guaranteed` says how far.
    """
    if not 0 <= radius <= 11:
        raise ValueError(f"radius must be between 0 and 11, got {radius}")
    own = queries is None
    values, member_of = np.unique(hashes, return_inverse=True)
    _, leaders = np.unique(member_of, return_index=True)
    asked = values if queries is None else queries
    flips = next((f for f in (2, 1, 0) if f <= -(-(radius - 3) // 4) and _cost(values, asked, f) <= _BUDGET), None)
    found = None if flips is None else _collect(_lookups(values, asked, flips, radius, own))
    pairs = np.zeros(0, np.int64) if found is None else found
    i, j = np.divmod(pairs, len(values))
    i, j = (leaders[i], leaders[j]) if own else (i, leaders[j])
    if own:
        copies = np.flatnonzero(leaders[member_of] != np.arange(len(hashes)))
        i, j = np.concatenate([i, leaders[member_of[copies]]]), np.concatenate([j, copies])
    keep = i != j
    first, second = np.minimum(i, j)[keep], np.maximum(i, j)[keep]
    pairs = np.unique(first * max(1, len(hashes)) + second)
    first, second = np.divmod(pairs, max(1, len(hashes)))
    source = hashes if queries is None else queries
    distance = np.minimum(_distance(source[first], hashes[second]), _distance(source[second], hashes[first]))
    reach = -1 if flips is None or found is None else min(radius, 4 * (flips + 1) - 1)
    return NearPairs(first, second, distance, reach)


def _collect(portions: Iterator[NDArray[np.int64]]) -> NDArray[np.int64] | None:
    """All pairs once; None where there are more than anybody could look through."""
    kept, count = [np.zeros(0, np.int64)], 0
    for pairs in portions:
        kept.append(pairs)
        count += len(pairs)
        if count > _MOST:
            return None
    return np.unique(np.concatenate(kept))


def _lookups(
    values: NDArray[np.uint64], queries: NDArray[np.uint64], flips: int, radius: int, own: bool
) -> Iterator[NDArray[np.int64]]:
    """Pairs as query * len(values) + value, some of them several times."""
    for word in range(_WORDS):
        keys, starts = _index(values, word)
        order = np.argsort(keys, kind="stable")
        asked = _word(queries, word)
        for mask in _masks(flips):
            low = starts[asked ^ mask]
            length = starts[(asked ^ mask) + 1] - low
            for rows in _portions(length):
                i = np.repeat(rows, length[rows])
                within = np.arange(len(i)) - np.repeat(np.cumsum(length[rows]) - length[rows], length[rows])
                j = order[low[i] + within]
                near = (i < j) if own else np.ones(len(i), bool)
                near[near] = _distance(queries[i[near]], values[j[near]]) <= radius
                yield i[near] * len(values) + j[near]


def _cost(values: NDArray[np.uint64], queries: NDArray[np.uint64], flips: int) -> int:
    total = 0
    for word in range(_WORDS):
        counts = np.diff(_index(values, word)[1])
        asked = _word(queries, word)
        total += sum(int(counts[asked ^ mask].sum()) for mask in _masks(flips))
    return total


def _portions(length: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Rows with something to look up, in portions of about `_CHUNK` pairs; one row may exceed it alone."""
    rows = np.flatnonzero(length)
    portion = np.cumsum(length[rows]) // _CHUNK
    yield from np.split(rows, np.flatnonzero(np.diff(portion)) + 1) if len(rows) else ()


def _index(values: NDArray[np.uint64], word: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    keys = _word(values, word)
    return keys, np.concatenate([[0], np.cumsum(np.bincount(keys, minlength=1 << _WORD_BITS))])


def _word(values: NDArray[np.uint64], word: int) -> NDArray[np.int64]:
    return ((values >> np.uint64(_WORD_BITS * word)) & np.uint64((1 << _WORD_BITS) - 1)).astype(np.int64)


def _masks(flips: int) -> list[int]:
    return [
        sum(1 << bit for bit in bits) for count in range(flips + 1) for bits in combinations(range(_WORD_BITS), count)
    ]


def _distance(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.uint8]:
    different = a ^ b
    total = np.zeros(len(different), np.uint8)
    for word in range(_WORDS):
        total += _ONES[_word(different, word)]
    return total


def _dct() -> NDArray[np.float32]:
    """The first 12 rows of the orthonormal DCT-II of 32 points, up to scale."""
    frequency, position = np.arange(12)[:, None], np.arange(SIDE)[None, :]
    return np.cos(np.pi * (2 * position + 1) * frequency / (2 * SIDE)).astype(np.float32)


def _low_frequencies() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The 64 lowest frequencies but the mean, by the sum of the two indices, as the zigzag of JPEG orders them."""
    pairs = sorted(((u, v) for u in range(12) for v in range(12)), key=lambda pair: (sum(pair), pair))[1:65]
    rows, columns = zip(*pairs, strict=True)
    return np.array(rows), np.array(columns)
