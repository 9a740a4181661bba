"""Causes by made-up times, sums that count nothing twice, and a diagnosis by a clock of the test's own."""

import json
import math
import re
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from separable.analysis.advice import Advice, NetworkDiagnosis, gain_together
from separable.analysis.causes import Cause, LayerGain, causes_of, fastest
from separable.analysis.diagnosing import diagnose_network, vector_lanes
from separable.analysis.diagnosis_text import diagnosis_text
from separable.analysis.profile import count
from separable.analysis.roofline import MeasuredProfile, layer_of, limit_of
from separable.analysis.timing import CpuWatch
from separable.machine.ceilings import Ceilings
from separable.machine.known_bad import known_bad_convolution
from separable.machine.processor import Processor

CEILINGS = Ceilings("cpu", "test", 1, {"fp32": 1e12}, ((10**5, 4e10), (10**9, 1e10)), {})
SHAPE = (1, 3, 64, 64)


def timed(model: nn.Module, seconds: Sequence[float], outside: float = 0.0) -> MeasuredProfile:
    """A profile of `model` in which each layer took what is given."""
    profile, rows = count(model, SHAPE)
    assert len(rows) == len(seconds)
    layers = tuple(
        layer_of(row, own, *limit_of(row.layer.macs, row.layer.bytes, CEILINGS, "fp32"))
        for row, own in zip(rows, seconds, strict=True)
    )
    watched = sum(seconds) + outside
    return MeasuredProfile(profile, layers, watched, watched, 5, "fp32", False, CEILINGS)


def causes(model: nn.Module, seconds: Sequence[float], outside: float = 0.0) -> dict[str, Cause]:
    return {cause.key: cause for cause in causes_of(timed(model, seconds, outside), 16)}


def test_normalisation_after_a_convolution_could_be_folded() -> None:
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(16))
    found = causes(model, [0.001, 0.0004, 0.0002, 0.0001, 0.0003])
    assert found["batch_norm"].layers == (LayerGain("1", 0, 0.0004, 0.0004),), (
        "after a pool there is nothing to fold into"
    )
    moved = 4 * (2 * 16 * 62 * 62 + 4 * 16)
    assert f"1 layer moves {moved / 1e6:.3g} MB" in found["batch_norm"].why
    assert found["activation"].layers == (LayerGain("2", 0, 0.0002, 0.0002),)


def test_a_depthwise_convolution_is_held_against_a_copy_of_its_size() -> None:
    model = nn.Sequential(nn.Conv2d(3, 32, 1), nn.Conv2d(32, 32, 3, groups=32))
    measured = timed(model, [0.001, 0.002])
    moved = 4 * (32 * 64 * 64 + 32 * 62 * 62 + 32 * 9 + 32)
    assert fastest(measured.layers[1], measured) == moved / 1e10
    (gain,) = causes(model, [0.001, 0.002])["depthwise"].layers
    assert gain.gain == pytest.approx(0.002 - moved / 1e10)
    assert "depthwise" not in causes(model, [0.001, moved / 1e10 * 1.5]), "two thirds of the limit are not slow"


def test_small_maps_are_held_against_the_cache() -> None:
    measured = timed(nn.MaxPool2d(32), [0.001])
    assert measured.layers[0].bytes < 10**5
    assert fastest(measured.layers[0], measured) == measured.layers[0].bytes / 4e10


def test_groups_channels_and_pools() -> None:
    model = nn.Sequential(nn.Conv2d(3, 24, 3), nn.Conv2d(24, 24, 3, groups=4), nn.MaxPool2d(3, 2))
    found = causes(model, [0.01, 0.01, 0.01])
    assert "groups of 6 channels" in found["groups"].why
    (odd,) = found["channels"].layers
    assert odd.name == "0", "a grouped convolution is another matter"
    assert odd.gain == pytest.approx(0.01 * 0.25), "24 of 32 lanes are used"
    assert "1 layer with 24 channels" in found["channels"].why
    assert [one.name for one in found["pooling"].layers] == ["2"]
    assert [one.name for one in found["products"].layers] == ["0"]


def test_small_layers_and_python_are_overhead() -> None:
    model = nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(4)))
    found = causes(model, [30e-6] * 4, outside=0.5)
    assert found["overhead"].beside == 0.5
    assert found["overhead"].gain > 0.5
    assert len(found["overhead"].layers) == 4
    assert "products" not in found


def test_a_network_at_its_limit_has_no_cause() -> None:
    model = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, bias=False))
    profile, rows = count(model, (1, 16, 64, 64))
    limit = limit_of(rows[0].layer.macs, rows[0].layer.bytes, CEILINGS, "fp32")
    layers = (layer_of(rows[0], limit[0], *limit),)
    assert not causes_of(MeasuredProfile(profile, layers, limit[0], limit[0], 5, "fp32", False, CEILINGS), 16)


def advice(key: str, gain: float, layers: tuple[LayerGain, ...], **more: bool) -> Advice:
    return Advice(key, key, "why", "fix", gain, **{"measured": False, **more}, layers=layers)


def test_the_sum_counts_every_layer_once() -> None:
    first = advice("a", 5.0, (LayerGain("x", 0, 9.0, 4.0), LayerGain("y", 0, 9.0, 1.0)))
    second = advice("b", 9.0, (LayerGain("x", 0, 9.0, 3.0), LayerGain("x", 1, 9.0, 6.0)))
    assert gain_together([first]) == 5.0
    assert gain_together([first, second]) == 4.0 + 1.0 + 6.0
    beside = advice("c", 7.0, (LayerGain("y", 0, 9.0, 2.0),))
    assert gain_together([first, beside]) == 4.0 + 2.0 + 5.0, "five of the seven are outside of layers"
    assert gain_together([first, advice("batch", 100.0, (), measured=True, counts=False)]) == 5.0
    whole = advice("layout", 3.0, (LayerGain("x", 0, 9.0, 5.0),), measured=True)
    assert gain_together([first, whole]) == 5.0 + 1.0, "a layout's own gain is that of its layers"


class Ticking:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def diagnosed(model: nn.Module, shape: Sequence[int] = (1, 3, 32, 32), **versions: str) -> NetworkDiagnosis:
    told: list[tuple[int, int | None]] = []
    found = diagnose_network(
        model, shape, versions, ceilings=CEILINGS, watch=CpuWatch(Ticking()), budget=0.0,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told == [(step, 5) for step in range(1, 6)]
    return found


def test_a_diagnosis_from_end_to_end() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 20, 1, 2), nn.MaxPool2d(3))
    found = diagnosed(model.train(), torch="2.13.0")
    assert model.training
    assert next(model.parameters()).is_contiguous()
    assert found.seconds == pytest.approx(0.001), "an unwatched run is one tick of the clock"
    assert [what for what, _ in found.runs] == ["as it is", "fp32 channels_last", "batch 8, for each 1"]
    assert [seconds for _, seconds in found.runs] == pytest.approx([0.001, 0.001, 0.001 / 8])
    (batch,) = [one for one in found.advice if one.key == "batch"]
    assert batch.gain == pytest.approx(0.001 * 7 / 8)
    assert [name for name, _ in found.warnings] == ["3"]
    assert found.advice == tuple(sorted(found.advice, key=lambda one: -one.gain))
    told = json.loads(json.dumps(found.to_json()))
    keys = {one["key"] for one in told["advice"]}
    assert {"batch_norm", "activation", "batch"} <= keys
    assert told["possible_milliseconds"] <= told["measured"]["watched_milliseconds"] + 1e-9
    assert {"name", "milliseconds", "reasons"} <= told["slowest"][0].keys()


def test_the_text_ranks_warns_and_sums() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 20, 1, 2))
    text = diagnosis_text("mine.py:build", diagnosed(model, torch="2.13.0"))
    lines = text.splitlines()
    number = next(line for line in lines if "Batch normalisation as a pass" in line).partition(".")[0].strip()
    (row,) = [line.split() for line in lines if line.startswith("1  ")]
    assert row[:3] == ["1", "batch", "norm"]
    assert number in row[3].split(","), "the table says which advice is about the layer"
    assert lines[0] == "mine.py:build: 1 ms for 1x3x32x32 in fp32, evaluation mode"
    assert "Danger at 3: oneDNN 3.12 of torch 2.13 writes past its buffer" in text
    assert "\n 1. " in text
    assert "Batch normalisation as a pass of its own: 0.11 ms, 11 % of the time (at most)" in text
    assert "(timed one by one, which makes 9 ms of 1 ms; what could be gained is told of the latter)" in text
    assert max(float(share) for share in re.findall(r"(\d+) % of the time", text)) <= 100
    assert "outside of layers" in text
    assert lines[-2] == "Together at most 0.99 ms of 1 ms: each layer counts once, under what gains most there."
    assert lines[-1] == "Not in that sum, being another workload: Only 1 picture at a time."
    calm = diagnosis_text("x", diagnosed(model, torch="2.12.0"))
    assert "Danger" not in calm


def test_networks_of_other_inputs_and_precisions() -> None:
    found = diagnosed(nn.Linear(4, 4), (2, 4))
    assert [what for what, _ in found.runs] == ["as it is", "batch 16, for each 2"], "no layout without four axes"
    assert "batch" not in {one.key for one in diagnosed(nn.Linear(4, 4), (8, 4)).advice}


class _OnlyContiguous(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], -1)


def test_a_layout_that_fails_is_not_advised() -> None:
    found = diagnosed(nn.Sequential(nn.Conv2d(3, 4, 1), _OnlyContiguous()))
    assert [what for what, _ in found.runs] == ["as it is", "batch 8, for each 1"]


class _FixedBatch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(1, 3, 32 * 32)[:, :, :9]


def test_a_network_of_one_picture_is_not_given_more() -> None:
    found = diagnosed(nn.Sequential(_FixedBatch(), nn.Linear(9, 2)))
    assert [what for what, _ in found.runs] == ["as it is", "fp32 channels_last"]
    assert "batch" not in {one.key for one in found.advice}


def test_bf16_is_tried_where_the_processor_has_it() -> None:
    both = Ceilings("cpu", "test", 1, {"fp32": 1e12, "bf16": 2e12}, CEILINGS.copies, {})
    found = diagnose_network(nn.Conv2d(3, 4, 1), (1, 3, 8, 8), {}, ceilings=both, watch=CpuWatch(Ticking()), budget=0.0)
    assert [what for what, _ in found.runs][1:4] == ["fp32 channels_last", "bf16", "bf16 channels_last"]


@pytest.mark.parametrize(
    ("torch_version", "kernel", "stride", "channels", "bad"),
    [
        ("2.13.0+cpu", (1, 1), (2, 2), (8, 64), True),
        ("2.13.0", (1, 1), (2, 2), (64, 15), True),
        ("2.13.0", (1, 1), (2, 2), (16, 16), False),
        ("2.13.0", (1, 1), (1, 1), (8, 8), False),
        ("2.13.0", (3, 3), (2, 2), (8, 8), False),
        ("2.12.1", (1, 1), (2, 2), (8, 8), False),
    ],
)
def test_which_convolutions_are_known_to_fail(
    torch_version: str, kernel: tuple[int, int], stride: tuple[int, int], channels: tuple[int, int], bad: bool
) -> None:
    found = known_bad_convolution({"torch": torch_version}, kernel, stride, channels)
    assert (found is not None) is bad
    assert found is None or found.severe


def test_vector_lanes() -> None:
    def lanes(*features: str) -> int:
        return vector_lanes(Processor("", "", 1, 1, 1, 1, features))

    assert [lanes("avx2", "avx512"), lanes("avx2"), lanes("neon"), lanes()] == [16, 8, 4, 8]


def test_gains_are_finite() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Dropout(), nn.Identity(), nn.Flatten())
    found = diagnosed(model)
    assert math.isfinite(found.possible)
    assert all(torch.isfinite(torch.tensor(one.gain)) for one in found.advice)
