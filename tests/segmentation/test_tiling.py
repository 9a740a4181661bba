"""Prediction by tiles: shares that sum to one, no seams, and memory that does not grow with the picture."""

import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from separable.errors import UsageError
from separable.segmentation.tiling import predict_strips, predict_whole, with_flips
from separable.segmentation.windows import Tiling, shares, starts
from tests.data.made import structured
from tests.tolerances import TILE_BLENDING

QUICK = settings(max_examples=80, deadline=None)
SMALL = Tiling((32, 48), 16, 8)


def by_pixel(tiles: torch.Tensor) -> torch.Tensor:
    """Logits that depend on each pixel alone: they must come out as if there were no tiles."""
    values = tiles.float() / 25
    return torch.stack([values[:, 0], values[:, 1] - values[:, 2], (values.sum(1) - 12).square() / 20], 1)


def by_neighbours(reach: int):
    """Means over (2 reach + 1) pixels squared, with a border of zeros as a network has it."""

    def predict(tiles: torch.Tensor) -> torch.Tensor:
        side = 2 * reach + 1
        pooled = functional.avg_pool2d(tiles.float() / 25, side, 1, reach, count_include_pad=True)
        return torch.stack([pooled[:, 0], pooled[:, 1] - pooled[:, 2]], 1)

    return predict


def logits_of(picture: np.ndarray, predict, tiling: Tiling, batch_size: int = 3) -> np.ndarray:
    return predict_whole(picture, predict, tiling, batch_size=batch_size, finish=lambda z: z.transpose(1, 2, 0).copy())


def whole(picture: np.ndarray, predict) -> np.ndarray:
    return predict(torch.from_numpy(picture).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()


@QUICK
@given(st.integers(1, 400), st.integers(1, 12), st.integers(0, 90), st.integers(1, 16))
def test_shares_sum_to_one_everywhere(length: int, tiles: int, overlap: int, multiple: int) -> None:
    tile = multiple * (tiles + -(-overlap // multiple))
    at = starts(length, tile, overlap, multiple)
    assert at[0] == 0
    assert all(place % multiple == 0 for place in at)
    assert at[-1] + tile >= min(length, tile)
    assert length <= at[-1] + tile < max(length, tile) + multiple
    assert all(b - a <= tile - overlap for a, b in pairwise(at))
    weights = shares(at, tile, overlap)
    total = np.zeros(at[-1] + tile)
    for start, row in zip(at, weights, strict=True):
        total[start : start + tile] += row
    assert np.abs(total - 1).max() < TILE_BLENDING
    assert weights.min() >= 0


def test_the_outer_quarter_of_an_overlap_has_no_say() -> None:
    weights = shares([0, 48, 96], 64, 16)
    assert weights[1, :4].tolist() == [0, 0, 0, 0]
    assert weights[1, -4:].tolist() == [0, 0, 0, 0]
    assert weights[1, 12:-12].tolist() == [1] * 40
    assert weights[0, :12].tolist() == [1] * 12, "the picture's own border is nobody else's"
    assert (np.diff(weights[1, 3:13]) > 0).all()
    with pytest.raises(UsageError, match="overlap by less"):
        shares([0, 49], 64, 16)


@pytest.mark.parametrize("size", [(32, 48), (1, 1), (7, 300), (65, 97), (200, 31), (100, 150), (33, 49)])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_no_seams_where_pixels_stand_alone(size: tuple[int, int], batch_size: int) -> None:
    picture = structured(*size)
    blended = logits_of(picture, by_pixel, SMALL, batch_size)
    assert blended.shape == (*size, 3)
    assert np.abs(blended - whole(picture, by_pixel)).max() < TILE_BLENDING
    classes = predict_whole(picture, by_pixel, SMALL, batch_size=batch_size)
    assert np.array_equal(classes, blended.argmax(-1))


@pytest.mark.parametrize("tiling", [Tiling((32, 32), 16, 8), Tiling((32, 32), 24, 8), Tiling((64, 32), 16, 4)])
def test_no_seams_where_a_network_sees_less_than_a_quarter_of_the_overlap(tiling: Tiling) -> None:
    """At the picture's own border the tile's mirrored ending, or its padding, is another border: left out here."""
    picture = structured(120, 150)
    reach = tiling.overlap // 4
    blended = logits_of(picture, by_neighbours(reach), tiling)
    expected = whole(picture, by_neighbours(reach))
    inner = np.s_[: 120 - 2 * reach, : 150 - 2 * reach]
    assert np.abs(blended - expected)[inner].max() < TILE_BLENDING
    too_far = np.abs(logits_of(picture, by_neighbours(reach + 2), tiling) - whole(picture, by_neighbours(reach + 2)))
    assert too_far[:100, :120].max() > 100 * TILE_BLENDING, "the test can fail"


def test_without_overlap_tiles_stand_side_by_side() -> None:
    picture = structured(64, 96)
    blended = logits_of(picture, by_neighbours(2), Tiling((32, 48), 0, 16))
    for top in (0, 32):
        for left in (0, 48):
            part = np.s_[top : top + 32, left : left + 48]
            assert np.array_equal(blended[part], whole(picture[part].copy(), by_neighbours(2)))


@pytest.mark.parametrize("size", [(20, 30), (5, 3), (40, 50), (1, 1)])
def test_tiles_reach_beyond_by_mirroring(size: tuple[int, int]) -> None:
    picture, seen = structured(*size), []

    def look(tiles: torch.Tensor) -> torch.Tensor:
        seen.append(tiles.permute(0, 2, 3, 1).numpy().copy())
        return by_pixel(tiles)

    predict_whole(picture, look, Tiling((32, 48), 8, 8))
    below, beyond = (max(0, -(-max(have, tile) // 8) * 8 - have) for have, tile in zip(size, (32, 48), strict=True))
    padded = np.pad(picture, ((0, below), (0, beyond), (0, 0)), mode="symmetric")
    assert np.array_equal(np.concatenate(seen)[-1], padded[-32:, -48:])


def test_strips_lie_one_below_the_other() -> None:
    picture = structured(100, 60)

    class Source:
        size = (100, 60)
        asked: list[tuple[int, int]] = []  # noqa: RUF012

        def read(self, top: int, bottom: int) -> np.ndarray:
            self.asked.append((top, bottom))
            return picture[top:bottom]

    strips = list(predict_strips(Source(), by_pixel, SMALL))
    assert [top for top, _ in strips] == [0, *np.cumsum([len(strip) for _, strip in strips])[:-1].tolist()]
    assert sum(len(strip) for _, strip in strips) == 100
    assert Source.asked[0][0] == 0
    assert all(a[1] == b[0] for a, b in pairwise(Source.asked)), "each row once, in order"


def test_memory_does_not_grow_with_the_height() -> None:
    """A picture that is drawn as it is read, and a prediction thrown away: four times as high, the same peak."""

    class Endless:
        def __init__(self, height: int) -> None:
            self.size = (height, 700)

        def read(self, top: int, bottom: int) -> np.ndarray:
            return np.full((bottom - top, 700, 3), top % 200, np.uint8)

    peaks = []
    for height in (512, 2048):
        tracemalloc.start()
        for _ in predict_strips(Endless(height), lambda tiles: tiles[:, :2].float(), Tiling((128, 128), 32, 16), 2):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
    assert peaks[1] < 8 * 2**20


def test_flips_are_turned_back_and_averaged() -> None:
    kernel = torch.tensor(np.random.default_rng(0).normal(size=(2, 3, 3, 3)), dtype=torch.float32)
    predict = lambda tiles: functional.conv2d(tiles.float() / 255, kernel, padding=1)  # noqa: E731
    tiles = torch.from_numpy(structured(20, 24)).permute(2, 0, 1)[None]
    mirrored = [predict(tiles), predict(tiles.flip(3)).flip(3), predict(tiles.flip(2)).flip(2)]
    three = with_flips(predict, "none", "horizontal", "vertical")(tiles)
    assert (three - sum(mirrored) / 3).abs().max() < TILE_BLENDING
    full = with_flips(predict, "none", "horizontal", "vertical", "both")
    assert (full(tiles.flip(2, 3)).flip(2, 3) - full(tiles)).abs().max() < TILE_BLENDING
    for bad in ((), ("sideways",)):
        with pytest.raises(UsageError, match="Unknown flips"):
            with_flips(predict, *bad)


def test_what_cannot_be_predicted() -> None:
    with pytest.raises(UsageError, match="An empty picture"):
        predict_whole(np.zeros((0, 5, 3), np.uint8), by_pixel, SMALL)
    with pytest.raises(UsageError, match="another size than the tiles"):
        predict_whole(structured(9, 9), lambda tiles: by_pixel(tiles)[:, :, ::2], SMALL)
    for bad in ({"overlap": 505}, {"overlap": -1}, {"multiple": 0}, {"size": (500, 512)}, {"overlap": 481}):
        with pytest.raises(UsageError, match=r"Tiles do not fit|have to be multiples"):
            Tiling(**bad)


@pytest.mark.shared
def test_a_network_has_no_seams_on_a_photograph(test_data: Path) -> None:
    """Three strided layers and back: tiles start on the network's grid, so that it sees the same pixels together."""
    from separable.data.decode import decode_picture

    picture = decode_picture(test_data / "coral_images/cat_720p.jpg")[:300, :420].copy()
    torch.manual_seed(1)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3, 2, 1), torch.nn.ReLU(), torch.nn.Conv2d(6, 6, 3, 2, 1), torch.nn.ReLU(),
        torch.nn.Conv2d(6, 4, 3, padding=1), torch.nn.Upsample(scale_factor=4, mode="bilinear"),
    )  # fmt: skip
    predict = lambda tiles: network(tiles.float() / 255)  # noqa: E731
    with torch.no_grad():
        expected = whole(picture, predict)
    blended = logits_of(picture, predict, Tiling((128, 128), 96, 4))
    assert np.abs(blended - expected)[:270, :390].max() < TILE_BLENDING
