"""Which pictures are copies of each other: re-encoded, resized, relit, slightly cropped or turned, or mirrored.

Two pictures count as the same when their 32x32 grey thumbnails, one warped onto the other by a small affine map
(Lucas and Kanade 1981, a few Gauss-Newton steps), agree both in the whole and in what remains after blurring. The
second is what tells two copies from two white flowers on black. The mean of all thumbnails is taken out first, so that
what every picture of the set shares (a face's place, a fixed camera's view) does not count as likeness.

Where the thresholds come from: on 894 photographs of cats every one of the pairs above them was the same photograph
or the next one of a burst, seen by eye, and of 320,000 pairs of flower photographs only one burst passes. Among scanned
digits, thousands of pairs agree to 0.9, so pictures that small have to agree nearly perfectly, unwarped.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from separable.data.fingerprints import SIDE, luma_and_chroma, near_pairs, perceptual_hashes

__all__ = ["SMALL_SIDE", "Alike", "find_alike", "likeness"]

SMALL_SIDE = 64
"""Pictures with a shorter side below this are held to `_SMALL_WHOLE` and `_SMALL_DETAIL`."""

Floats = NDArray[np.float32]
_WHOLE, _DETAIL = 0.9, 0.6
_SMALL_WHOLE, _SMALL_DETAIL = 0.985, 0.96
_PROMISING = 0.3  # correlation before warping below which warping never reached 0.9
_SAME_COLOUR = 0.6  # difference of chroma over its sum: 0.23 for saturation raised by 60 %, 1 for red against green
_COLOURED = 6.0  # root mean square of chroma, of 128, above which a picture has colours
_ENOUGH_FOR_A_MEAN = 100
_STEPS, _LARGEST_SHIFT, _BORDER = 6, 3.0, 2
_CHUNK, _PORTION = 512, 4096  # pairs and pictures held as floats at once: tens of MB


@dataclass(frozen=True)
class Alike:
    """Pairs of copies: `first[k] < second[k]`, their correlation after warping, and whether one is mirrored.

    `complete` is False where so many pictures look alike that the search was cut short. `common` is the correlation of
    two pictures of the set on average, before what they have in common is taken out.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    score: Floats
    mirrored: NDArray[np.bool_]
    complete: bool
    common: float


def find_alike(prints: NDArray[np.uint8], small: NDArray[np.bool_]) -> Alike:
    """All pairs of copies among N pictures.

    Args:
        prints: (N, FINGERPRINT) of `fingerprints.fingerprint`; leave constant pictures out.
        small: (N,), True where the picture is below `SMALL_SIDE`.
    """
    mean = _mean(prints)
    common = float((mean**2).mean())
    if len(prints) < _ENOUGH_FOR_A_MEAN:
        mean = np.zeros_like(mean)
    radius = 11 if 2 * small.sum() < len(small) else 3
    hashes = _hashes(prints, mean)
    parts, complete = [], True
    for mirrored in (False, True):
        found = near_pairs(hashes, _hashes(prints, mean, mirrored=True) if mirrored else None, radius)
        complete &= found.guaranteed == radius
        kept, score = _verified(found.first, found.second, prints, mean, small, mirrored)
        parts.append((found.first[kept], found.second[kept], score, np.full(len(score), mirrored)))
    first, second, score, mirror = (np.concatenate(column) for column in zip(*parts, strict=True))
    # A symmetric picture and its copy agree both ways: said once, as a plain copy.
    _, once = np.unique(first * max(1, len(prints)) + second, return_index=True)
    return Alike(first[once], second[once], score[once], mirror[once], complete, common)


def likeness(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Correlation of P pairs after warping each of `b` onto `a`, in the whole and in detail.

    Args:
        a, b: (P, 32, 32), standardised.
    """
    whole, detail = np.full(len(a), -1.0, np.float32), np.full(len(a), -1.0, np.float32)
    slopes = _slopes(a)
    curvature = np.einsum("pki,pkj->pij", slopes, slopes) + _damping()
    inner_a, detail_a = _inner(a), _inner(_detail(a))
    warp = np.zeros((len(a), 6), np.float32)
    for step in range(_STEPS + 1):
        moved = _warped(b, warp)
        inner_b = _inner(moved)
        agreement = _correlation(inner_a, inner_b)
        better = (agreement > whole) & (_reach(warp) <= _LARGEST_SHIFT)
        whole = np.where(better, agreement, whole)
        detail = np.where(better, _correlation(detail_a, _inner(_detail(moved))), detail)
        if step < _STEPS:
            error = (_standardised(inner_a) - _standardised(inner_b)) * inner_a.std(axis=(1, 2), keepdims=True)
            pull = np.einsum("pki,pk->pi", slopes, error.reshape(slopes.shape[:2]))
            warp += np.linalg.solve(curvature, pull[..., None])[..., 0]
    return whole, detail


def _verified(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    prints: NDArray[np.uint8],
    mean: Floats,
    small: NDArray[np.bool_],
    mirrored: bool,
) -> tuple[NDArray[np.int64], Floats]:
    """Which of the pairs are copies, and how alike each of those is."""
    kept, scores = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    for start in range(0, len(first), _CHUNK):
        i, j = first[start : start + _CHUNK], second[start : start + _CHUNK]
        (a, colour_a), (b, colour_b) = luma_and_chroma(prints[i]), luma_and_chroma(prints[j], mirrored=mirrored)
        a, b = _standardised(a) - mean, _standardised(b) - mean
        strict = small[i] | small[j]
        whole, detail = _correlation(a, b), np.ones(len(i), np.float32)
        hopeful = (whole >= np.where(strict, _SMALL_WHOLE, _PROMISING)) & _same_colour(colour_a, colour_b)
        warped, exact = np.flatnonzero(hopeful & ~strict), np.flatnonzero(hopeful & strict)
        whole[warped], detail[warped] = likeness(a[warped], b[warped])
        detail[exact] = _correlation(_detail(a[exact]), _detail(b[exact]))
        hopeful &= whole >= np.where(strict, _SMALL_WHOLE, _WHOLE)
        hopeful &= detail >= np.where(strict, _SMALL_DETAIL, _DETAIL)
        kept.append(np.flatnonzero(hopeful) + start)
        scores.append(whole[hopeful])
    return np.concatenate(kept), np.concatenate(scores)


def _mean(prints: NDArray[np.uint8]) -> Floats:
    total = np.zeros((SIDE, SIDE))
    for start in range(0, len(prints), _PORTION):
        total += _standardised(luma_and_chroma(prints[start : start + _PORTION])[0]).sum(axis=0)
    return np.asarray(total / max(1, len(prints)), np.float32)


def _hashes(prints: NDArray[np.uint8], mean: Floats, *, mirrored: bool = False) -> NDArray[np.uint64]:
    hashes = np.zeros(len(prints), np.uint64)
    for start in range(0, len(prints), _PORTION):
        luma, _ = luma_and_chroma(prints[start : start + _PORTION], mirrored=mirrored)
        hashes[start : start + _PORTION] = perceptual_hashes(_standardised(luma) - mean)
    return hashes


def _same_colour(a: Floats, b: Floats) -> NDArray[np.bool_]:
    """Whether pictures of one shape also have their chroma (P, 4, 4, 2) in common; a grey one matches any."""
    of_a, of_b, between = (np.sqrt((z**2).mean(axis=(1, 2, 3))) for z in (a, b, a - b))
    return np.asarray((np.minimum(of_a, of_b) < _COLOURED) | (between <= _SAME_COLOUR * (of_a + of_b)))


def _standardised(pictures: Floats) -> Floats:
    centred = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    return np.asarray(centred / (centred.std(axis=(1, 2), keepdims=True) + np.float32(1e-6)))


def _correlation(a: Floats, b: Floats) -> Floats:
    a, b = a - a.mean(axis=(1, 2), keepdims=True), b - b.mean(axis=(1, 2), keepdims=True)
    scale = np.sqrt(np.einsum("pyx,pyx->p", a, a) * np.einsum("pyx,pyx->p", b, b))
    return np.asarray(np.einsum("pyx,pyx->p", a, b) / (scale + np.float32(1e-9)))


def _inner(pictures: Floats) -> Floats:
    return pictures[:, _BORDER:-_BORDER, _BORDER:-_BORDER]


def _detail(pictures: Floats) -> Floats:
    """What a Gaussian blur of 1.5 pixels takes away."""
    blur = _blur()
    return np.asarray(pictures - blur @ pictures @ blur.T)


@cache
def _blur() -> Floats:
    distance = np.arange(SIDE)[:, None] - np.arange(SIDE)[None, :]
    weights = np.exp(-(distance**2) / (2 * 1.5**2))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


@cache
def _grid() -> tuple[Floats, Floats]:
    """x and y of each pixel, from the centre."""
    axis = np.arange(SIDE, dtype=np.float32) - np.float32((SIDE - 1) / 2)
    return np.tile(axis, (SIDE, 1)), np.tile(axis[:, None], (1, SIDE))


def _slopes(pictures: Floats) -> Floats:
    """How each inner pixel changes with each of the six numbers of the map: (P, pixels, 6)."""
    x, y = _grid()
    down, across = (np.asarray(slope, np.float32) for slope in np.gradient(pictures, axis=(1, 2)))
    columns = [across * x, across * y, across, down * x, down * y, down]
    stacked = np.stack([_inner(column) for column in columns], axis=-1)
    return stacked.reshape(len(pictures), (SIDE - 2 * _BORDER) ** 2, 6)


def _damping() -> Floats:
    """Keeps the map small where the picture has too little structure to determine it."""
    pixels = (SIDE - 2 * _BORDER) ** 2
    return np.diag(np.array([50, 50, 1, 50, 50, 1], np.float32)) * np.float32(1e-3 * pixels)


def _reach(warp: Floats) -> Floats:
    """The most that the map moves a pixel at the edge, in thumbnail pixels."""
    half = SIDE / 2
    return np.asarray(np.abs(warp * np.array([half, half, 1, half, half, 1], np.float32)).max(axis=1))


def _warped(pictures: Floats, warp: Floats) -> Floats:
    """Each picture at the places the map sends its pixels to, bilinear, edges repeated."""
    x, y = _grid()
    w = warp[:, :, None, None]
    column = np.clip((1 + w[:, 0]) * x + w[:, 1] * y + w[:, 2] + (SIDE - 1) / 2, 0, SIDE - 1.001)
    row = np.clip(w[:, 3] * x + (1 + w[:, 4]) * y + w[:, 5] + (SIDE - 1) / 2, 0, SIDE - 1.001)
    left, top = column.astype(np.int64), row.astype(np.int64)
    right_share, low_share = column - left, row - top
    p = np.arange(len(pictures))[:, None, None]
    above = pictures[p, top, left] * (1 - right_share) + pictures[p, top, left + 1] * right_share
    below = pictures[p, top + 1, left] * (1 - right_share) + pictures[p, top + 1, left + 1] * right_share
    return np.asarray(above * (1 - low_share) + below * low_share, np.float32)
