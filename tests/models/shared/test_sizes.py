"""Which pictures every network takes, in which layout and precision."""

from dataclasses import replace

import pytest
import torch

from separable.errors import InputSizeError
from tests.models.small import assert_same, each_case, each_network, logits, make, make_alive, pictures


@each_case
def test_smallest_side(case: str) -> None:
    model = make(case)
    side = model.input_contract.min_size
    assert logits(model, torch.randn(1, 3, side, side)).isfinite().all()
    assert logits(model, torch.randn(1, 3, side, side + 1)).shape == (1, 5)
    for height, width in ((side - 1, side), (side, side - 1)):
        message = (
            f"^Pictures of {height}x{width} are too small for {model.name}: the smallest side that works is {side}.$"
        )
        with pytest.raises(InputSizeError, match=message):
            model(torch.randn(1, 3, height, width))


BY_CONVENTION = (16, 32, 71)  # the sides that four and five halvings make one of, and Keras' own bound for Xception


@each_case
def test_below_the_smallest_side_nothing_is_left(case: str) -> None:
    """The bound is no larger than it has to be, where it is not a convention."""
    model = make(case).eval()
    side = model.input_contract.min_size
    if side in BY_CONVENTION:
        return
    model.adopt(replace(model.input_contract, min_size=1))
    with torch.no_grad(), pytest.raises(RuntimeError, match=r"too small|larger than|[Cc]alculated"):
        model(torch.randn(1, 3, side - 1, side - 1))


@each_case
@pytest.mark.parametrize("extra", [(21, 20), (20, 57), (63, 2)])
def test_odd_even_and_rectangular_sides(case: str, extra: tuple[int, int]) -> None:
    model = make(case).eval()
    with torch.no_grad():
        features = model.forward_features(pictures(model, extra=extra))
        assert features.shape[:2] == (2, model.num_features)
        assert model.forward_head(features).shape == (2, 5)
    assert features.isfinite().all()
    assert features.min() >= 0, "the last activation is applied"


@each_case
def test_channels_last_changes_nothing_but_the_layout(case: str) -> None:
    model = make_alive(case)
    x = pictures(model)
    plain = logits(model, x)
    assert_same(logits(model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)), plain)


@each_network
def test_half_precision_stays_finite(case: str) -> None:
    model = make_alive(case)
    x = pictures(model)
    exact = logits(model, x)
    half = logits(model.bfloat16(), x.bfloat16())
    assert half.dtype == torch.bfloat16
    assert (half.float() - exact).abs().max() < 0.3 * exact.abs().max(), "NaN fails too"


@each_network
def test_other_numbers_of_channels(case: str) -> None:
    for channels in (1, 4):
        model = make(case, in_channels=channels)
        x = pictures(model)[:, :1].repeat(1, channels, 1, 1)
        assert logits(model, x).shape == (2, 5)
