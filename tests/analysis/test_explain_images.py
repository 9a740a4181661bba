"""The pictures of an explanation: colour scales that are even, maps and attributions drawn where they are."""

import io
import re

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from separable.analysis.explain.colour import COLOURS, coloured, css_gradient, scale
from separable.analysis.explain.images import (
    attribution_limit,
    cells,
    filter_grid,
    map_grid,
    overlay,
    png,
    signed_image,
)
from separable.data.preprocess import prepare, seen_region
from separable.models import InputContract

# colours


def lab(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """CIELAB for the white point of sRGB, written from the definitions and not from the code's inverse."""
    c = rgb.astype(np.float64) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ matrix.T / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


@pytest.mark.parametrize("part", ["amount", "against", "in favour"])
def test_equal_steps_of_a_scale_are_equal_differences_of_colour(part: str) -> None:
    table = lab(scale("amount" if part == "amount" else "signed"))
    half = COLOURS // 2
    table = {"amount": table, "against": table[half - 1 :: -1], "in favour": table[half:]}[part]
    # Eight bits a channel move a colour by up to half a level: steps of 16 colours drown that.
    far = table[::16]
    steps = np.linalg.norm(np.diff(far, axis=0), axis=1)
    assert steps.max() / steps.min() < 1.15, steps
    assert bool((np.diff(far[:, 0]) > 1.5).all()), "it grows lighter all the way"


def test_the_ends_of_the_signed_scale_are_each_others_match() -> None:
    table = lab(scale("signed"))
    assert abs(table[0, 0] - table[-1, 0]) < 2
    assert table[0, 2] < -20 < 20 < table[-1, 2], "blue against, orange in favour"
    assert float(np.abs(table[COLOURS // 2 - 1 : COLOURS // 2 + 1]).max()) < 12, "nearly black in the middle"
    assert np.linalg.norm(table[COLOURS // 2] - table[COLOURS // 2 - 1]) < 3


def test_values_get_the_colours_of_their_place() -> None:
    table = scale("amount")
    assert coloured(np.array([0.0, 2.0, 1.0, 9.0, -1.0]), 2.0).tolist() == table[[0, 255, 128, 255, 0]].tolist()
    signed = scale("signed")
    found = coloured(np.array([-2.0, 0.0, 2.0, 1.0]), 2.0, "signed")
    assert found.tolist() == signed[[0, 128, 255, 192]].tolist()
    assert coloured(np.zeros(3), 0.0).tolist() == [table[0].tolist()] * 3
    stops = re.findall(r"#[0-9a-f]{6}", css_gradient("amount"))
    assert (stops[0], stops[-1]) == tuple(f"#{bytes(table[end].tolist()).hex()}" for end in (0, -1))


# images


def test_a_heat_map_is_drawn_where_it_is() -> None:
    cam = torch.zeros(4, 4)
    cam[0, 3] = 2.0
    assert cells(cam).shape == (4, 4, 3)
    assert cells(cam)[0, 3].tolist() == scale("amount")[-1].tolist()
    assert cells(cam)[3, 0].tolist() == scale("amount")[0].tolist()
    seen = torch.full((3, 64, 48), 200, dtype=torch.uint8)
    drawn = overlay(seen, cam).astype(int)
    assert drawn.shape == (64, 48, 3)
    red, blue = drawn[..., 0], drawn[..., 2]
    assert np.unravel_index((red - blue).argmax(), (64, 48))[0] < 16
    assert np.unravel_index((red - blue).argmax(), (64, 48))[1] >= 36
    nothing = overlay(seen, torch.zeros(4, 4))
    assert set(nothing.reshape(-1).tolist()) == {100}


def test_attributions_are_summed_over_the_colours() -> None:
    values = torch.zeros(3, 10, 20)
    values[:, 2, 3] = torch.tensor([1.0, 2.0, -0.5])
    values[:, 5, 6] = torch.tensor([-1.0, -2.0, 0.5])
    values[:, 7, 7] = torch.tensor([1.0, -2.0, 1.0])
    drawn = signed_image(values)
    assert attribution_limit(values) == 2.5
    middle = scale("signed")[128].tolist()
    assert drawn[2, 3].tolist() == scale("signed")[-1].tolist()
    assert drawn[5, 6].tolist() == scale("signed")[0].tolist()
    assert drawn[7, 7].tolist() == middle == drawn[0, 0].tolist()
    spread = torch.linspace(-1, 1, 3 * 10 * 20).view(3, 10, 20)
    assert attribution_limit(spread) == pytest.approx(np.percentile(np.abs(spread.sum(0).numpy()), 99), rel=0.02)
    spread[:, 1:] = 0
    spread[:, 0, 1:] = 0
    assert attribution_limit(spread) == pytest.approx(0.99666, rel=1e-4), "nearly all are 0: then the largest"


def test_maps_are_drawn_each_on_its_own_scale() -> None:
    maps = torch.zeros(5, 2, 3)
    maps[1] = torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    maps[3] = maps[1] * 100 - 7
    grid, shown = map_grid(maps, columns=2, most=3)
    assert shown[:2] == [0, 1] or shown == [1, 2, 3] or set(shown) >= {1, 3}
    assert grid.shape == (2 * 48 + 3, 2 * 72 + 3, 4)  # tiles of 2x3 positions, 24 pixels each
    place = {channel: divmod(index, 2) for index, channel in enumerate(shown)}
    tiles = {
        channel: grid[51 * row : 51 * row + 48, 75 * column : 75 * column + 72]
        for channel, (row, column) in place.items()
    }
    assert (tiles[1] == tiles[3]).all()
    assert tiles[1][0, 0, :3].tolist() == scale("amount")[0].tolist()
    assert tiles[1][-1, -1, :3].tolist() == scale("amount")[-1].tolist()
    assert grid[48, 0, 3] == 0, "clear between tiles"


def test_filters_are_drawn_around_grey() -> None:
    weights = torch.zeros(2, 3, 2, 2)
    weights[0, 0, 0, 0], weights[0, 2, 1, 1] = 0.5, -0.25
    grid = filter_grid(weights)
    tile = grid[:72, :72, :3]
    assert tile[0, 0].tolist() == [255, 128, 128]
    assert tile[71, 71].tolist() == [128, 128, 64]
    assert filter_grid(weights, bgr=True)[0, 0, :3].tolist() == [128, 128, 255]
    assert grid[0, 75:147, :3].reshape(-1).tolist() == [128] * 216
    assert filter_grid(torch.ones(7, 2, 3, 3)).shape == (2 * 72 + 3, 12 * 75 - 3, 4)


@pytest.mark.parametrize("size", [(90, 200), (331, 77), (64, 64), (2, 1000)])
@pytest.mark.parametrize("rule", ["shorter", "squash"])
def test_the_region_is_what_the_crop_keeps(size: tuple[int, int], rule: str) -> None:
    """Ramps that are worth their own place: what stands at the edges of the crop says where it was cut."""
    contract = InputContract(size=(64, 48), mean=(0, 0, 0), std=(1, 1, 1), resize=rule)
    top, left, height, width = seen_region(size, contract)
    ramps = np.zeros((*size, 3))
    ramps[..., 0] = (np.arange(size[0]) + 0.5)[:, None] * 255 / size[0]
    ramps[..., 1] = (np.arange(size[1]) + 0.5)[None, :] * 255 / size[1]
    seen = prepare(np.rint(ramps).astype(np.uint8), contract).double()
    for channel, axis, start, extent, whole, wanted in (
        (0, 1, top, height, size[0], 64),
        (1, 0, left, width, size[1], 48),
    ):
        row = seen[channel].mean(axis) * whole / 255
        places = start + (torch.arange(wanted) + 0.5) * extent / wanted
        inner = slice(4, -4)  # at the edges of the picture a resize repeats the last pixel
        assert float((row - places)[inner].abs().max()) < 1.2 * whole / 255 + 0.5


def test_pictures_of_few_colours_take_few_bytes() -> None:
    """What is read back is what was drawn, to the pixel; maps always fit a palette, their clear gutter included."""
    grid = map_grid(torch.rand(16, 100, 90))[0]
    assert 250 < len(np.unique(grid.reshape(-1, 4), axis=0)) <= 256, "two of the scale's colours are alike"
    for pixels, mode in (
        (grid, "P"),
        (signed_image(torch.rand(3, 50, 40) - 0.5), "P"),
        (np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8), "RGB"),
        (np.random.default_rng(0).integers(0, 256, (30, 20, 4), np.uint8), "RGBA"),
    ):
        with Image.open(io.BytesIO(png(pixels))) as image:
            assert image.mode == mode
            back = np.asarray(image.convert("RGBA"))
        assert (back[..., : pixels.shape[2]] == pixels).all()
        assert pixels.shape[2] == 4 or (back[..., 3] == 255).all()


def test_large_maps_are_averaged_before_they_are_coloured() -> None:
    maps = torch.zeros(1, 144, 144)
    maps[0, ::2, ::2] = maps[0, 1::2, 1::2] = 1.0
    maps[0, :72] = 0
    tile = map_grid(maps)[0]
    assert tile.shape == (72, 72, 4)
    assert (tile[:36, :, :3] == scale("amount")[0]).all()
    assert (tile[36:, :, :3] == scale("amount")[-1]).all(), "half of each 2x2 is the greatest that is left"
