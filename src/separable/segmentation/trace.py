"""Pixels to outlines: the boundary of a region as rings along pixel edges, so that filling them gives the region back.

Coordinates are pixel corners, as in `fill`. Regions are connected through edges: two pixels that touch at a corner are
two regions. No ring passes a corner twice; rings may touch at corners, as the simple features standard allows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Outline", "trace"]

Points = NDArray[np.int64]
_STEPS = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
"""Right, down, left, up: as (x, y). The region lies to the right of the way."""


@dataclass(frozen=True)
class Outline:
    """A region: the ring around it and those around its holes, each (corners, 2) x and y, in whole numbers.

    The outer ring has a positive area by the shoelace formula, holes a negative one.
    """

    outer: Points
    holes: tuple[Points, ...] = ()

    @property
    def area(self) -> int:
        """In pixels."""
        return int(sum(_twice_area(ring) for ring in (self.outer, *self.holes)) // 2)

    @property
    def rings(self) -> tuple[Points, ...]:
        """All of them, for `fill`."""
        return (self.outer, *self.holes)


def trace(region: NDArray[np.bool_]) -> list[Outline]:
    """The outlines of all regions of set pixels in (height, width), by the place of their first pixel."""
    starts, directions = _edges(region)
    if not len(starts):
        return []
    width = region.shape[1] + 1
    following, forks = _following(starts, directions, width)
    rings = _rings(starts, directions, following, forks)
    return _nested(rings, starts, directions, region.shape[1])


def _edges(region: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixel edges between set and unset, with the set pixel to the right: start corner as y * (width + 1) + x, way."""
    height, width = region.shape
    framed = np.zeros((height + 2, width + 2), bool)
    framed[1:-1, 1:-1] = region
    inside = framed[1:-1, 1:-1]
    # The unset neighbour above, right, below, left; and where the edge on that side starts, from the pixel's corner.
    sides = ((framed[:-2, 1:-1], 0, 0), (framed[1:-1, 2:], 0, 1), (framed[2:, 1:-1], 1, 1), (framed[1:-1, :-2], 1, 0))
    starts, directions = [], []
    for direction, (neighbour, down, right) in enumerate(sides):
        y, x = np.nonzero(inside & ~neighbour)
        starts.append((y + down) * (width + 1) + x + right)
        directions.append(np.full(len(y), direction))
    return np.concatenate(starts), np.concatenate(directions)


def _following(
    starts: NDArray[np.int64], directions: NDArray[np.int64], width: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The edge after each, turning right where two go on, which keeps to the same pixel; and where two do."""
    keys = starts * 4 + directions
    order = np.argsort(keys)
    ordered = keys[order]
    ends = starts + _STEPS[directions, 0] + width * _STEPS[directions, 1]
    following = np.full(len(starts), -1)
    ways = np.zeros(len(starts), np.int64)
    for turn in (3, 0, 1):  # left, straight on, right: the last one found stands
        wanted = ends * 4 + (directions + turn) % 4
        at = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
        found = ordered[at] == wanted
        following[found] = order[at[found]]
        ways += found
    return following, ways > 1


def _rings(
    starts: NDArray[np.int64],
    directions: NDArray[np.int64],
    following: NDArray[np.int64],
    forks: NDArray[np.bool_],
) -> list[list[int]]:
    """Edges in the order of the way, one list a ring; a way that comes to a corner again is cut there."""
    after, at_fork, start = following.tolist(), forks.tolist(), starts.tolist()
    seen = bytearray(len(after))
    rings = []
    for first in np.lexsort((directions, starts)).tolist():
        if seen[first]:
            continue
        way: list[int] = []
        passed: dict[int, int] = {}
        edge = first
        while not seen[edge]:
            seen[edge] = 1
            way.append(edge)
            if at_fork[edge]:
                corner = start[after[edge]]
                if corner in passed:
                    rings.append(way[passed[corner] :])
                    del way[passed[corner] :]
                    # Corners inside of the cut-off part cannot be met again: each is passed twice at most.
                passed[corner] = len(way)
            edge = after[edge]
        if way:
            rings.append(way)
    return rings


def _nested(
    rings: list[list[int]], starts: NDArray[np.int64], directions: NDArray[np.int64], width: int
) -> list[Outline]:
    """Give every hole to the ring around it: the one met first, going left from the hole through set pixels."""
    corners = [_corners(np.array(ring), starts, directions, width + 1) for ring in rings]
    is_outer = [_twice_area(points) > 0 for points in corners]
    ring_of = np.full(len(starts), -1)
    for number, ring in enumerate(rings):
        ring_of[ring] = number
    # Upward edges lie left of set pixels: the end of a run of them to the left.
    upward = np.flatnonzero(directions == 3)
    upward = upward[np.argsort(starts[upward] - (width + 1))]
    places = starts[upward] - (width + 1)  # of the pixel to the right, as y * (width + 1) + x
    owner: dict[int, int] = {}

    def outer_of(number: int) -> int:
        way = []
        while not is_outer[number] and number not in owner:
            way.append(number)
            downward = [edge for edge in rings[number] if directions[edge] == 1]
            # The pixel left of the hole's leftmost edge; nothing of this hole lies further left.
            leftmost = min(downward, key=lambda edge: int(starts[edge]) % (width + 1))
            number = int(ring_of[upward[np.searchsorted(places, int(starts[leftmost]) - 1, side="right") - 1]])
        found = owner.get(number, number)
        owner.update(dict.fromkeys(way, found))
        return found

    holes: dict[int, list[Points]] = {number: [] for number, outer in enumerate(is_outer) if outer}
    for number, outer in enumerate(is_outer):
        if not outer:
            holes[outer_of(number)].append(corners[number])
    outlines = [Outline(corners[number], tuple(inside)) for number, inside in holes.items()]
    return sorted(outlines, key=lambda one: (one.outer[:, 1].min(), one.outer[one.outer[:, 1].argmin(), 0]))


def _corners(ring: NDArray[np.int64], starts: NDArray[np.int64], directions: NDArray[np.int64], width: int) -> Points:
    ways = directions[ring]
    turning = starts[ring[ways != np.roll(ways, 1)]]
    return np.stack([turning % width, turning // width], axis=1)


def _twice_area(ring: Points) -> int:
    x, y = ring.T
    return int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())
