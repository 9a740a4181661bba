"""The one preprocessing against Pillow's resize, and its arithmetic against float64."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from separable.data.decode import decode_picture
from separable.data.preprocess import normalise, prepare, prepare_file, resize
from separable.errors import UsageError
from separable.models.contract import InputContract
from tests.data.made import Pixels, encode, jpeg, structured
from tests.tolerances import DECODER_SCALING, NORMALISE, RESIZE_LEVELS

CONTRACT = InputContract((75, 75), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def levels(ours: torch.Tensor, oracle: Pixels) -> int:
    assert ours.dtype == torch.uint8
    assert tuple(ours.shape) == (3, *oracle.shape[:2])
    return int(np.abs(ours.permute(1, 2, 0).numpy().astype(int) - oracle).max())


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize(
    ("size", "target"),
    [((61, 83), (75, 75)), ((375, 500), (299, 299)), ((200, 90), (33, 71)), ((40, 40), (40, 97)), ((1, 1), (7, 5))],
)
def test_resize_is_pillows(size: tuple[int, int], target: tuple[int, int], name: str) -> None:
    pixels = structured(*size)
    oracle = np.asarray(Image.fromarray(pixels).resize(target[::-1], FILTERS[name]))
    resized = resize(pixels, target, name)
    assert levels(resized, oracle) <= RESIZE_LEVELS
    assert resized.permute(1, 2, 0).is_contiguous(), "channels_last, which is what makes it fast"


def test_the_tolerance_catches_a_resize_without_antialiasing() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (200, 260, 3), dtype=np.uint8)
    oracle = np.asarray(Image.fromarray(pixels).resize((65, 50), FILTERS["bilinear"]))
    plain = functional.interpolate(torch.from_numpy(pixels).permute(2, 0, 1)[None], size=(50, 65), mode="bilinear")[0]
    assert levels(plain, oracle) > 10 * RESIZE_LEVELS


def test_a_crop_and_its_mirror() -> None:
    pixels = structured(80, 90)
    crop = pixels[11:61, 7:80]
    resized = resize(crop, (32, 40), "bilinear")
    assert torch.equal(resized, resize(np.ascontiguousarray(crop), (32, 40), "bilinear"))
    assert torch.equal(resize(crop, (32, 40), "bilinear", flip=True), resized.flip(2))
    with pytest.raises(UsageError, match="Unknown resize filter"):
        resize(crop, (3, 3), "lanczos")


@pytest.mark.parametrize("size", [(100, 160), (160, 100), (75, 75), (31, 57)])
@pytest.mark.parametrize("target", [(75, 75), (60, 90)])
@pytest.mark.parametrize("fraction", [0.875, 1.0])
def test_shorter_side_then_centre_crop(size: tuple[int, int], target: tuple[int, int], fraction: float) -> None:
    contract = dataclasses.replace(CONTRACT, size=target, crop_fraction=fraction)
    scale = max(target[0] / fraction / size[0], target[1] / fraction / size[1])
    tall, wide = max(target[0], round(size[0] * scale)), max(target[1], round(size[1] * scale))
    pixels = structured(*size)
    oracle = np.asarray(Image.fromarray(pixels).resize((wide, tall), FILTERS["bilinear"]))
    top, left = (tall - target[0]) // 2, (wide - target[1]) // 2
    oracle = oracle[top : top + target[0], left : left + target[1]]
    assert levels(prepare(pixels, contract), oracle) <= RESIZE_LEVELS
    if fraction == 1.0:
        assert tall == target[0] or wide == target[1], "nothing is cropped off both sides"


def test_squash() -> None:
    pixels = structured(50, 120)
    contract = dataclasses.replace(CONTRACT, resize="squash", filter="bicubic", size=(64, 48))
    oracle = np.asarray(Image.fromarray(pixels).resize((48, 64), FILTERS["bicubic"]))
    assert levels(prepare(pixels, contract), oracle) <= RESIZE_LEVELS


@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1), (3, 6000)])
def test_a_strip_costs_no_memory(size: tuple[int, int]) -> None:
    """Resized whole it would be a billion pixels."""
    pixels = np.full((*size, 3), 9, np.uint8)
    assert (prepare(pixels, CONTRACT) == 9).all()
    assert (prepare_file(encode(pixels, "PNG"), CONTRACT) == 9).all()


@pytest.mark.parametrize("field", [{"resize": "longer"}, {"crop_fraction": 0.0}, {"crop_fraction": 1.5}])
def test_a_contract_that_cannot_be_right(field: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        prepare(structured(9, 9), dataclasses.replace(CONTRACT, **field))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_file_is_prepared_as_its_pixels_are(kind: str) -> None:
    data = encode(structured(90, 140), kind)
    for decoder in ("turbo", "pillow"):
        assert torch.equal(prepare_file(data, CONTRACT, decoder=decoder), prepare(decode_picture(data), CONTRACT))


@pytest.mark.parametrize("size", [(700, 933), (933, 701), (1600, 1203)])
def test_scaled_decoding_is_invisible(size: tuple[int, int]) -> None:
    """`structured` has detail down to the pixel, as a photograph has."""
    pixels = structured(*size)
    pixels = np.clip(pixels + np.random.default_rng(0).normal(0, 12, pixels.shape), 0, 255).astype(np.uint8)
    data = jpeg(pixels)
    scaled, full = prepare_file(data, CONTRACT), prepare(decode_picture(data), CONTRACT)
    assert not torch.equal(scaled, full), "nothing was scaled, so nothing is shown"
    assert (scaled.int() - full.int()).abs().max() <= DECODER_SCALING
    assert torch.equal(scaled, prepare_file(data, CONTRACT, decoder="pillow"))


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_normalise(order: str) -> None:
    contract = dataclasses.replace(CONTRACT, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), colour_order=order)
    batch = torch.from_numpy(np.stack([structured(7, 9, seed) for seed in (0, 1)])).permute(0, 3, 1, 2)
    values = batch.numpy().astype(np.float64)
    values = values[:, ::-1] if order == "BGR" else values
    shape = (3, 1, 1)
    oracle = (values / 255 - np.reshape(contract.mean, shape)) / np.reshape(contract.std, shape)
    ours = normalise(batch, contract)
    assert ours.dtype == torch.float32
    assert np.abs(ours.numpy() - oracle).max() <= NORMALISE
    assert torch.equal(normalise(batch, contract, torch.bfloat16), ours.to(torch.bfloat16))
    assert torch.equal(normalise(batch[0], contract), ours[0]), "one picture alone is the same"


def test_normalise_keeps_the_memory_format_and_the_extremes() -> None:
    batch = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    batch = batch.contiguous(memory_format=torch.channels_last)
    ours = normalise(batch, CONTRACT)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    assert (ours[0] == -1).all()
    assert (ours[1] - 1).abs().max() <= NORMALISE
