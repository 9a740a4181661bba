"""Widths of equal cost: against a search through every width there is, and for targets that no width has."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from separable.analysis import profile
from separable.errors import InputSizeError, ModelOptionError, UsageError
from separable.experiments.matching import Matched, solve_width
from separable.models import ImageModel, build_model

SMALL: dict[str, Any] = {"stem_stride": 1, "middle_blocks": 1}


def cost(name: str, width: float, size: int, measure: str, options: dict[str, Any]) -> int:
    with torch.device("meta"):
        model = build_model(name, 10, width=width, **options)
    if measure == "parameters":
        return sum(parameter.numel() for parameter in model.parameters())
    return profile(model, (1, options.get("in_channels", 3), size, size)).macs


@pytest.mark.parametrize("segments", [7, None])
def test_the_nearest_of_all_widths(segments: int | None) -> None:
    """Channels are multiples of 8, so widths that differ by less than 8 in 2048 channels leave none out."""
    options = {**SMALL, "segments": segments}
    target = 100_000
    every = {cost("xception", place / 256 / 3, 32, "parameters", options) for place in range(1, 200)}
    best = min(every, key=lambda found: abs(found - target))
    matched = solve_width("xception", options, 32, target=target, num_classes=10, tolerance=0.5)
    assert abs(matched.got - target) <= abs(best - target)
    assert matched.got == cost("xception", matched.width, 32, "parameters", options)
    assert matched.off == pytest.approx(matched.got / target - 1)


@pytest.mark.parametrize("measure", ["parameters", "macs"])
@pytest.mark.parametrize(
    ("name", "options", "size", "width"),
    [
        ("xception", {**SMALL, "segments": 3, "order": "pointwise_first", "in_channels": 1}, 32, 0.35),
        ("mobilenet_v1", {"stem_stride": 1, "shallow": True}, 40, 0.6),
        ("vgg16", {}, 32, 1.4),
        ("resnet50", {"repeats": [1, 1, 1, 1]}, 32, 2.0),
    ],
)
def test_what_a_width_costs_finds_a_network_of_that_cost(
    name: str, options: dict[str, Any], size: int, width: float, measure: Any
) -> None:
    target = cost(name, width, size, measure, options)
    matched = solve_width(name, options, size, measure=measure, target=target, num_classes=10)
    assert (matched.got, matched.off) == (target, 0)
    assert cost(name, matched.width, size, measure, options) == target


def test_auxiliary_heads_are_counted_where_they_are_trained() -> None:
    options = {"stem": "79", "aux_head": True}
    target = cost("inception_v3", 0.25, 33, "parameters", options)
    assert target > cost("inception_v3", 0.25, 33, "parameters", {"stem": "79"})
    assert solve_width("inception_v3", options, 33, target=target, num_classes=10).off == 0


def test_the_published_network_is_found_by_its_own_count() -> None:
    assert solve_width("xception", {}, 299, target=22_855_952) == Matched(1.0, 22_855_952, 0.0)


def clock(power: float, noise: Callable[[int], float] = lambda _: 1.0) -> tuple[Callable[..., float], list[int]]:
    """A machine that takes so long as there are parameters, to some power."""
    seen: list[int] = []

    def seconds(model: ImageModel, x: torch.Tensor) -> float:
        assert x.shape == (1, 3, 32, 32)
        assert not x.is_meta
        seen.append(sum(parameter.numel() for parameter in model.parameters()))
        return 1e-3 * (seen[-1] / 1e5) ** power * noise(len(seen))

    return seconds, seen


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_milliseconds_are_measured_and_each_width_once(power: float) -> None:
    seconds, seen = clock(power)
    matched = solve_width("xception", SMALL, 32, measure="milliseconds", target=1.7, num_classes=10, seconds=seconds)
    assert abs(matched.off) < 0.05
    assert len(seen) <= 14, "a measurement takes a second or more"
    wobbly, _ = clock(power, lambda number: 1.03 if number % 2 else 0.97)
    again = solve_width("xception", SMALL, 32, measure="milliseconds", target=1.7, num_classes=10, seconds=wobbly)
    assert abs(again.width / matched.width - 1) < 0.2
    assert abs(again.off) < 0.1


def test_a_guess_saves_wide_networks() -> None:
    """The same cost, and nothing is built that is much wider."""
    narrow, seen = clock(1.0)
    found = solve_width("xception", SMALL, 32, measure="milliseconds", target=0.5, num_classes=10, seconds=narrow,
                        start=0.1)  # fmt: skip
    assert max(seen) < 3 * found.got * 1e5
    _, before = plain = clock(1.0)
    again = solve_width("xception", SMALL, 32, measure="milliseconds", target=0.5, num_classes=10, seconds=plain[0])
    assert abs(again.width / found.width - 1) < 0.03
    assert len(seen) <= len(before)
    exact = [solve_width("xception", SMALL, 32, target=100_000, num_classes=10, start=start) for start in (0.01, 1, 3)]
    assert len({one.got for one in exact}) == 1


def test_the_real_clock() -> None:
    """Whatever this machine takes: the time is that of a network of the catalogue in evaluation mode."""
    matched = solve_width(
        "mobilenet_v1", {"shallow": True}, 32, measure="milliseconds", target=3.0, num_classes=2, tolerance=1e9
    )
    assert matched.got > 0
    assert matched.width > 0


@pytest.mark.parametrize(
    ("options", "arguments", "error", "message"),
    [
        (SMALL, {"target": 10}, UsageError, r"xception has more than 10 parameters at any width\. Got: .* at width"),
        (
            SMALL,
            {"target": 10, "measure": "macs"},
            UsageError,
            r"xception has more than 10 multiply-adds at any width.*Expected: within 10 %",
        ),
        (SMALL, {"target": 1e15}, UsageError, r"fewer than 1e\+15 parameters up to a width of 32\. Got"),
        (
            SMALL,
            {"target": 31_000, "tolerance": 1e-4},
            UsageError,
            r"No width of xception comes near 31,000 parameters",
        ),
        ({"width": 1}, {"target": 1e5}, UsageError, r"solved for\. Got: width=1 among the options"),
        ({"colour": 1}, {"target": 1e5}, ModelOptionError, r"xception has no option colour"),
        ({}, {"target": 0}, ModelOptionError, r"target\. Got: 0\. Expected: a number above 0"),
        ({}, {"target": float("nan")}, ModelOptionError, r"target\. Got: nan"),
        ({}, {"target": 1, "start": 0}, ModelOptionError, r"start\. Got: 0"),
        ({}, {"target": 1, "tolerance": -1}, ModelOptionError, r"tolerance\. Got: -1"),
        ({}, {"target": 1, "measure": "flops"}, ModelOptionError, r"measure.*'parameters' or 'macs' or 'millis"),
        ({}, {"target": 1e9, "measure": "macs"}, InputSizeError, r"32x32 are too small for xception"),
    ],
)
def test_what_cannot_be_is_said(
    options: dict[str, Any], arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        solve_width("xception", options, 32, num_classes=10, **arguments)
