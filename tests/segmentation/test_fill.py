"""Outlines to pixels against exact point-in-polygon tests, one pixel centre at a time."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from separable.errors import BadPictureError
from separable.segmentation.fill import as_ring, fill

QUICK = settings(max_examples=60, deadline=None)
HALVES = st.integers(-4, 24).map(lambda k: k / 2)
"""Coordinates on pixel corners and pixel centres, where every tie there is occurs."""
ANY = st.floats(-3, 12, allow_nan=False, width=32)


def inside(rings: list[np.ndarray], x: Fraction, y: Fraction) -> bool:
    """Even-odd by a ray to the left, in rational numbers: the crossing counts where it is at or left of the point."""
    odd = False
    for ring in rings:
        points = [(Fraction(float(a)), Fraction(float(b))) for a, b in ring]
        for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
            if (ay <= y) != (by <= y) and ax + (y - ay) * (bx - ax) / (by - ay) <= x:
                odd = not odd
    return odd


def oracle(rings: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    half = Fraction(1, 2)
    return np.array([[inside(rings, x + half, y + half) for x in range(size[1])] for y in range(size[0])])


@pytest.mark.parametrize("coordinate", [HALVES, ANY], ids=["ties", "floats"])
def test_against_the_oracle(coordinate: st.SearchStrategy[float]) -> None:
    points = st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=7)

    @QUICK
    @given(st.lists(points, min_size=1, max_size=3))
    def agrees(outlines: list[list[tuple[float, float]]]) -> None:
        rings = [as_ring(points) for points in outlines]
        assert np.array_equal(fill(rings, (8, 9)), oracle(rings, (8, 9)))

    agrees()


def test_a_tie_that_rounding_decides_wrongly() -> None:
    """The edge from (0, 0) to (3, 10.5) passes the centre of row 3 at exactly 1, that of row 5 at 11/7."""
    slivers = [as_ring([(0.1, 0.1), (0.1 + 0.7 * k, 0.1 + 1.7 * k), (9.3, 0.3)]) for k in range(1, 40)] + [
        as_ring([(1 / 3, 1 / 3), (1 / 3 + k / 7, 7.5), (8.5, 0.5)]) for k in range(40)
    ]
    for ring in slivers:
        assert np.array_equal(fill([ring], (8, 9)), oracle([ring], (8, 9)))


@QUICK
@given(cut=st.lists(st.tuples(ANY, ANY), min_size=1, max_size=4))
def test_neighbours_share_no_pixel_and_leave_none_out(cut: list[tuple[float, float]]) -> None:
    """A rectangle cut in two along a way through it, each part drawn from its own end."""
    way = [(4.0, -1.0), *sorted(cut, key=lambda point: point[1]), (5.0, 9.0)]
    left = as_ring([(-1, -1), *way, (-1, 9)])
    right = as_ring([(10, -1), (10, 9), *reversed(way)])
    one, other = fill([left], (8, 9)), fill([right], (8, 9))
    whole = fill([as_ring([(-1, -1), (10, -1), (10, 9), (-1, 9)])], (8, 9))
    assert whole.all()
    assert np.array_equal(one ^ other, whole)


def test_rectangles_are_what_their_corners_say() -> None:
    region = fill([as_ring([(2, 1), (5, 1), (5, 4), (2, 4)])], (6, 7))
    expected = np.zeros((6, 7), bool)
    expected[1:4, 2:5] = True
    assert np.array_equal(region, expected)
    hole = as_ring([(3, 2), (4, 2), (4, 3), (3, 3)])
    expected[2, 3] = False
    assert np.array_equal(fill([as_ring([(2, 1), (5, 1), (5, 4), (2, 4)]), hole], (6, 7)), expected)


def test_pillow_agrees_away_from_the_outline() -> None:
    """Pillow fills up to and including the outline's pixels, so they agree but for a pixel along it."""
    rng = np.random.default_rng(0)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 30))
    ring = np.stack([60 + rng.uniform(20, 50, 30) * np.cos(angles), 55 + rng.uniform(20, 50, 30) * np.sin(angles)], 1)
    image = Image.new("1", (120, 110))
    ImageDraw.Draw(image).polygon([tuple(point) for point in (ring - 0.5)], fill=1)
    theirs, ours = np.array(image), fill([ring], (110, 120))
    differs = ours != theirs
    y, x = np.nonzero(differs)
    ends = np.roll(ring, -1, axis=0)
    centres = np.stack([x + 0.5, y + 0.5], 1)[:, None]
    along = np.clip(((centres - ring) * (ends - ring)).sum(-1) / ((ends - ring) ** 2).sum(-1), 0, 1)
    distance = np.linalg.norm(ring + along[..., None] * (ends - ring) - centres, axis=-1).min(axis=1)
    assert distance.max() < 1.5
    assert differs.mean() < 0.05


def test_long_outlines_are_filled_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    ring = rng.uniform(-2, 30, (40, 2))
    whole = fill([ring], (25, 28))
    monkeypatch.setattr("separable.segmentation.fill._AT_ONCE", 7)
    assert np.array_equal(fill([ring], (25, 28)), whole)


def test_far_away_outlines_cost_nothing_and_cover_everything() -> None:
    big = as_ring([(-1e7, -1e7), (1e7, -1e7), (1e7, 1e7), (-1e7, 1e7)])
    assert fill([big], (5, 6)).all()
    assert not fill([as_ring([(50, 50), (60, 50), (60, 60)])], (5, 6)).any()


@pytest.mark.parametrize(
    "points",
    [
        [],
        [(0, 0), (1, 1)],
        [(0, 0), (1, 1), (float("nan"), 0)],
        [(0, 0), (1, 1), (float("inf"), 0)],
        [(0, 0), (1, 1), (1e9, 0)],
        [(0, 0), (1, 1), (1, 2, 3)],
        [(0, 0), (1, 1), (None, 2)],
        [(0, 0), (1, 1), ({}, 2)],
        [(0, 0), (1, 1), (10**400, 2)],
    ],
)
def test_senseless_outlines_are_refused(points: list) -> None:
    with pytest.raises(BadPictureError, match="an outline"):
        as_ring(points)
