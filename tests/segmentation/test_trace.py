"""Pixels to outlines and back, exactly, whatever the region."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from separable.segmentation.fill import fill
from separable.segmentation.labels import IGNORE
from separable.segmentation.trace import Outline, trace
from separable.segmentation.vector import coco_document, geojson, paint_regions, regions
from tests.segmentation.made import REGIONS, blobs

QUICK = settings(max_examples=150, deadline=None)
MASKS = arrays.arrays(np.int16, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.integers(-1, 3))


def filled(outline: Outline, size: tuple[int, int]) -> np.ndarray:
    return fill([ring.astype(np.float64) for ring in outline.rings], size)


def components(region: np.ndarray) -> list[np.ndarray]:
    """4-connected regions by flooding, an independent way."""
    left = {(int(y), int(x)) for y, x in zip(*np.nonzero(region), strict=True)}
    found = []
    while left:
        waiting, part = [left.pop()], np.zeros(region.shape, bool)
        while waiting:
            y, x = waiting.pop()
            part[y, x] = True
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if near in left:
                    left.remove(near)
                    waiting.append(near)
        found.append(part)
    return found


@QUICK
@given(REGIONS)
def test_every_region_comes_back_exactly(region: np.ndarray) -> None:
    outlines = trace(region)
    parts = [filled(outline, region.shape) for outline in outlines]
    assert {part.tobytes() for part in parts} == {part.tobytes() for part in components(region)}
    assert len(parts) == len(components(region))
    assert [outline.area for outline in outlines] == [int(part.sum()) for part in parts]


@QUICK
@given(REGIONS)
def test_rings_are_simple(region: np.ndarray) -> None:
    """No ring passes a corner twice, every corner turns, and ways run around regions and against holes."""
    for outline in trace(region):
        for ring in outline.rings:
            corners = [tuple(point) for point in ring.tolist()]
            passed = []
            for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
                assert (ax == bx) != (ay == by)
                step = (np.sign(bx - ax), np.sign(by - ay))
                passed += [(ax + step[0] * k, ay + step[1] * k) for k in range(abs(bx - ax) + abs(by - ay))]
            assert len(set(passed)) == len(passed)
            ways = np.sign(np.roll(ring, -1, axis=0) - ring)
            assert (ways != np.roll(ways, 1, axis=0)).any(axis=1).all()
        x, y = outline.outer.T
        assert (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() > 0


def test_a_ring_in_a_ring_in_a_ring() -> None:
    """Holes belong to the region around them, not to the island within or the region outside."""
    region = np.zeros((21, 21), bool)
    for depth in range(10):
        region[depth : 21 - depth, depth : 21 - depth] = depth % 2 == 0
    outlines = trace(region)
    assert [len(outline.holes) for outline in outlines] == [1, 1, 1, 1, 1]
    assert [outline.area for outline in outlines] == [80, 64, 48, 32, 16]
    for outline in outlines:
        assert outline.holes[0].min() == outline.outer.min() + 1


def test_a_checkerboard_and_a_large_region() -> None:
    board = np.indices((40, 41)).sum(axis=0) % 2 == 0
    outlines = trace(board)
    assert len(outlines) == board.sum()
    noise = np.random.default_rng(0).random((300, 280)) < 0.55
    rings = [ring.astype(float) for outline in trace(noise) for ring in outline.rings]
    assert np.array_equal(fill(rings, noise.shape), noise)


def test_nothing_has_no_outline() -> None:
    assert trace(np.zeros((4, 5), bool)) == []
    assert np.array_equal(trace(np.ones((4, 5), bool))[0].outer, [[0, 0], [5, 0], [5, 4], [0, 4]])


@QUICK
@given(MASKS)
def test_whole_masks_come_back_exactly(mask: np.ndarray) -> None:
    assert np.array_equal(paint_regions(regions(mask), mask.shape), mask)
    without = np.where(mask == 0, np.int16(IGNORE), mask)
    assert np.array_equal(paint_regions(regions(mask, background=0), mask.shape), without)


def test_geojson_is_what_the_standard_asks() -> None:
    mask = np.zeros((6, 7), np.int16)
    mask[1:5, 1:6] = 1
    mask[2, 3] = 0
    document = json.loads(json.dumps(geojson(regions(mask, background=0), ("background", "cat"))))
    (feature,) = document["features"]
    outer, hole = feature["geometry"]["coordinates"]
    assert document["type"] == "FeatureCollection"
    assert feature["geometry"]["type"] == "Polygon"
    assert feature["properties"] == {"class": "cat", "index": 1, "pixels": 19}
    assert outer == [[1, 1], [6, 1], [6, 5], [1, 5], [1, 1]], "closed, and anticlockwise as numbers"
    assert hole[0] == hole[-1]
    assert sorted(map(tuple, hole[1:])) == [(3, 2), (3, 3), (4, 2), (4, 3)]


def test_coco_annotations_say_what_they_cover() -> None:
    mask = blobs(40, 50, 3, seed=3)
    document = json.loads(json.dumps(coco_document([("a.png", mask)], ("background", "b", "c"))))
    assert document["categories"] == [{"id": 1, "name": "b"}, {"id": 2, "name": "c"}]
    assert sum(one["area"] for one in document["annotations"]) == (mask > 0).sum()
    assert [one["id"] for one in document["annotations"]] == list(range(1, len(document["annotations"]) + 1))
    for one in document["annotations"]:
        left, top, width, height = one["bbox"]
        assert (mask[top : top + height, left : left + width] == one["category_id"]).sum() >= one["area"]


@pytest.mark.parametrize("seed", range(3))
def test_corners_that_touch_around_a_hole(seed: int) -> None:
    """Regions that enclose holes through corners: where a ring would pass a corner twice."""
    rng = np.random.default_rng(seed)
    region = np.kron(rng.random((12, 12)) < 0.6, np.ones((2, 2))).astype(bool)
    parts = {part.tobytes() for part in components(region)}
    assert {filled(one, region.shape).tobytes() for one in trace(region)} == parts
