"""Masks are the classes of the network's own logits at the picture's own size, whatever the picture and the way."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from separable.blocks.accelerate import entry, swapped
from separable.data.preprocess import prepare, resize
from separable.errors import UsageError
from separable.models import build_model
from separable.models.segmentation import SegmentationModel
from separable.ops.cpu import load_kernels
from separable.runtime import MaskPredictor, mask_rows
from separable.runtime.tiles import FLIPS, grid_of, tile_logits
from tests.data.made import encode, structured
from tests.runtime.made import NAMES, SIDE, demand_classes, logits_of, pixel_network, stretched


@pytest.fixture(scope="module")
def network() -> SegmentationModel:
    return pixel_network()


@pytest.fixture(scope="module")
def predictor(network: SegmentationModel) -> MaskPredictor:
    return MaskPredictor(network, network.input_contract, batch_size=3)


@pytest.mark.parametrize("size", [(32, 32), (77, 133), (200, 31), (9, 14), (1, 1), (1, 300), (301, 2)])
def test_a_picture_is_seen_as_in_evaluation_and_answered_at_its_own_size(
    predictor: MaskPredictor, network: SegmentationModel, size: tuple[int, int]
) -> None:
    picture = structured(*size, seed=3)
    answer = predictor(picture)[0]
    expected = stretched(logits_of(network, prepare(picture, network.input_contract)), size)
    demand_classes(answer.mask, expected)
    assert answer.class_names == NAMES
    counts = [(answer.mask == index).sum() for index in range(3)]
    assert answer.shares == pytest.approx([count / answer.mask.size for count in counts], abs=1e-12)
    assert (answer.source, answer.error) == ("picture 0", None)


def test_the_network_tells_pixels_apart(predictor: MaskPredictor) -> None:
    shares = [answer.shares for answer in predictor([structured(60, 80, seed=seed) for seed in range(4)])]
    assert sum(max(share) < 0.98 for share in shares) >= 2, "or these tests could not fail"


def test_what_a_crop_leaves_out_is_answered_too(network: SegmentationModel) -> None:
    """ "shorter": 60x90 becomes 37x56, of which evaluation sees the middle 32x32, and prediction all."""
    contract = replace(network.input_contract, resize="shorter", crop_fraction=0.875)
    picture = structured(60, 90, seed=5)
    answer = MaskPredictor(network, contract)(picture)[0]
    whole = resize(picture, (37, 55), "bilinear")
    demand_classes(answer.mask, stretched(logits_of(network, whole), (60, 90)))
    middle = prepare(picture, contract)
    assert torch.equal(whole[:, 2:34, 11:43], middle), "at evaluation's scale, to the bit"
    assert MaskPredictor(network, contract)(structured(8, 4000))[0].mask.shape == (8, 4000)


def test_batches_and_neighbours_change_nothing(network: SegmentationModel, predictor: MaskPredictor) -> None:
    contract = replace(network.input_contract, resize="shorter")
    for one in (network.input_contract, contract):
        pictures = [structured(*size, seed=seed) for seed, size in enumerate([(40, 60), (50, 50), (40, 60), (31, 99)])]
        together = MaskPredictor(network, one, batch_size=4)([*pictures[:2], b"bad", *pictures[2:]])
        alone = [MaskPredictor(network, one, batch_size=1)(picture)[0] for picture in pictures]
        assert [answer.error for answer in together] == [None, None, "not a picture", None, None]
        for left, right in zip([*together[:2], *together[3:]], alone, strict=True):
            assert (left.mask != right.mask).mean() < 0.01


def test_strips_put_together_are_the_whole(predictor: MaskPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = structured(123, 77)
    whole = predictor(picture)[0].mask
    for limit in (1, 3 * 77 * 10):
        monkeypatch.setattr(mask_rows, "_STRIP", limit)
        (rows,) = predictor.rows([picture], pixels=True)
        strips = list(rows.strips())
        assert len(strips) == (123 if limit == 1 else 13)
        assert np.array_equal(np.concatenate([strip.mask for strip in strips]), whole)
        assert np.array_equal(np.concatenate([strip.pixels for strip in strips]), picture)
    assert list(rows.strips()) == []


def test_tiles_without_overlap_are_pictures_of_their_own(predictor: MaskPredictor, network: SegmentationModel) -> None:
    picture = structured(64, 96, seed=2)
    mask = predictor([picture], tile=(32, 48), overlap=0)[0].mask
    for top in (0, 32):
        for left in (0, 48):
            part = picture[top : top + 32, left : left + 48]
            expected = logits_of(network, torch.from_numpy(part.copy()).permute(2, 0, 1))
            demand_classes(mask[top : top + 32, left : left + 48], expected)


@pytest.mark.parametrize("flips", list(FLIPS))
def test_a_tile_larger_than_the_picture_is_the_picture(
    predictor: MaskPredictor, network: SegmentationModel, flips: str
) -> None:
    """40x56 are multiples of the network's 8, so nothing is added: the whole picture at its own resolution."""
    picture = torch.from_numpy(structured(40, 56, seed=4)).permute(2, 0, 1)
    mask = predictor([picture.permute(1, 2, 0).numpy()], tile=4000, flips=flips)[0].mask
    axes = {"none": [()], "horizontal": [(), (2,)], "vertical": [(), (1,)], "all": [(), (2,), (1,), (1, 2)]}[flips]
    turned = [np.flip(logits_of(network, picture.flip(axis)), axis) for axis in axes]
    demand_classes(mask, sum(turned) / len(turned))
    tops = {tuple(rows.size) for rows in predictor.rows([np.zeros((3, 5, 3), np.uint8)], tile=4000)}
    assert tops == {(3, 5)}


def test_flips_change_the_whole_picture_way_too(predictor: MaskPredictor, network: SegmentationModel) -> None:
    picture = structured(50, 70, seed=6)
    small = prepare(picture, network.input_contract)
    mean = (logits_of(network, small) + np.flip(logits_of(network, small.flip(2)), 2)) / 2
    demand_classes(predictor([picture], flips="horizontal")[0].mask, stretched(mean, (50, 70)))


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (33, 90), (70, 41)])
@pytest.mark.parametrize("tile", [20, (16, 64), 64])
def test_any_size_in_any_tiles(predictor: MaskPredictor, size: tuple[int, int], tile: int | tuple[int, int]) -> None:
    """Files by rows and arrays agree; the tile is rounded up to the network's grid."""
    picture = structured(*size, seed=1)
    answer = predictor([picture], tile=tile)[0]
    assert (answer.error, answer.mask.shape) == (None, size)
    (rows,) = predictor.rows([encode(picture, "PNG")], tile=tile, pixels=True)
    strips = list(rows.strips())
    assert np.array_equal(np.concatenate([strip.mask for strip in strips]), answer.mask)
    assert np.array_equal(np.concatenate([strip.pixels for strip in strips]), picture)


def test_the_kernels_serve_masks_too(network: SegmentationModel, monkeypatch: pytest.MonkeyPatch) -> None:
    if not load_kernels(automatic=False).available:
        pytest.skip("the CPU kernels cannot be built here")
    monkeypatch.setattr(swapped, "_MARGIN", math.inf)
    monkeypatch.setattr(entry, "_faster", lambda *_: True)
    pictures = [structured(40, 56, seed=seed) for seed in range(3)]
    plain = MaskPredictor(network, network.input_contract)
    fast = MaskPredictor(copy.deepcopy(network), network.input_contract, accelerate=True)
    for tile in (32, None):
        for ours, expected in zip(fast(pictures, tile=tile), plain(pictures, tile=tile), strict=True):
            assert (ours.mask != expected.mask).mean() < 0.01
    assert fast.acceleration is not None
    assert fast.acceleration.changed


def test_ways_that_do_not_exist(predictor: MaskPredictor) -> None:
    picture = structured(9, 9)
    for options, words in (
        ({"flips": "sideways"}, r"Unknown flips\. Got: 'sideways'\. Expected: none, horizontal, vertical, all"),
        ({"overlap": 3}, r"An overlap is for tiles\. Got: overlap 3 and no tile"),
        ({"tile": 0}, r"No tile\. Got: tile 0\. Expected: a side, or height and width, in whole pixels"),
        ({"tile": "64"}, r"No tile\. Got: tile '64'"),
        ({"tile": (8, 8, 8)}, r"No tile\. Got: tile \(8, 8, 8\)"),
        ({"tile": 64, "overlap": 60}, r"Tiles do not fit together\. Got: size \(64, 64\), overlap 60, multiple 8"),
        ({"tile": 64, "overlap": -1}, r"Tiles do not fit together"),
    ):
        with pytest.raises(UsageError, match=f"^{words}"):
            predictor([picture], **options)


def test_tiles_lie_on_the_networks_grid() -> None:
    assert grid_of(pixel_network()) == 8
    unet = build_model("unet", 3, encoder="mobilenet_v1", width=0.25)
    assert isinstance(unet, SegmentationModel)
    assert grid_of(unet) == 32
    deeplab = build_model("deeplab", 3, encoder="mobilenet_v1", width=0.25)
    assert isinstance(deeplab, SegmentationModel)
    grid = grid_of(deeplab)
    assert deeplab.align_corners
    # Whatever the tile's side, the same cells interpolate the same pixels: logits that are a ramp over the cells.
    ramps = []
    for cells in (2, 4):
        ramp = torch.arange(cells + 1.0).expand(1, 1, cells + 1, cells + 1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(deeplab, "forward_features", lambda x: x)
            patch.setattr(deeplab, "forward_head", lambda x, ramp=ramp: ramp)
            ramps.append(tile_logits(deeplab, torch.zeros(1, 3, cells * grid, cells * grid))[0, 0, 0])
    assert torch.allclose(ramps[0], torch.arange(2.0 * grid) / grid)
    assert torch.allclose(ramps[1][: 2 * grid], ramps[0])


def test_evaluation_and_prediction_see_the_same_input(predictor: MaskPredictor, network: SegmentationModel) -> None:
    """At the network's own size nothing is interpolated: the mask is the argmax of evaluation's logits."""
    picture = structured(SIDE, SIDE, seed=9)
    logits = logits_of(network, prepare(picture, network.input_contract))
    assert (predictor(picture)[0].mask == logits.argmax(0)).mean() > 0.995
