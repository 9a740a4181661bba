"""The keyed mask: right rate, right independence, and blind to where in which batch a sample lands."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from separable.blocks import KeyedDropout, set_dropout_keys
from separable.blocks.dropout import hash_uniform
from separable.errors import UsageError


def keys(count: int, start: int = 0) -> Tensor:
    return torch.arange(start, start + count, dtype=torch.int64)


def masked(layer: nn.Module, batch_keys: Tensor | None, features: int) -> Tensor:
    set_dropout_keys(layer, batch_keys)
    return layer(torch.ones(len(batch_keys) if batch_keys is not None else 1, features))


def splitmix64(state: int) -> int:
    """Steele, Lea and Flood 2014, in Python's integers: an oracle without overflow, sign or shift tricks."""
    wrap = 2**64 - 1
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & wrap
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & wrap
    return state ^ (state >> 31)


@pytest.mark.parametrize("index", [0, 1, 5])
def test_the_hash_is_splitmix64(index: int) -> None:
    golden, wrap = 0x9E3779B97F4A7C15, 2**64 - 1
    some_keys = [0, 1, -1, 2**63 - 1, -(2**63), 123456789]
    got = hash_uniform(torch.tensor(some_keys), index, 7)
    for row, key in enumerate(some_keys):
        stream = splitmix64((key + golden * (index + 1)) & wrap)
        for element in range(7):
            assert got[row, element] == splitmix64((stream + golden * (element + 1)) & wrap) >> 32


def test_mask_depends_on_the_key_alone_not_on_the_batch() -> None:
    layer = KeyedDropout(0.5).train()
    whole = masked(layer, keys(16), 100)
    parts = torch.cat([masked(layer, keys(5), 100), masked(layer, keys(11, 5), 100)])
    assert torch.equal(whole, parts)
    order = torch.randperm(16)
    assert torch.equal(whole[order], masked(layer, keys(16)[order], 100))
    assert torch.equal(whole, masked(layer, keys(16), 100)), "the same keys give the same mask again"
    assert not torch.equal(whole, masked(layer, keys(16, 1000), 100))


@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.9])
def test_rate_and_scale(p: float) -> None:
    out = masked(KeyedDropout(p).train(), keys(500), 2000)
    dropped = (out == 0).double().mean().item()
    assert abs(dropped - p) < 5 * (p * (1 - p) / out.numel()) ** 0.5
    assert torch.allclose(out[out != 0], torch.tensor(1 / (1 - p)))


def test_uniform_over_keys_elements_and_layers() -> None:
    """Consecutive keys and elements, the real ones, must look independent: chi-squared over 256 bins, correlations."""
    draws = hash_uniform(keys(1000), 0, 1000).numpy() / 2**32
    counts = np.histogram(draws, bins=256, range=(0, 1))[0]
    expected = draws.size / 256
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert 255 - 6 * (2 * 255) ** 0.5 < chi2 < 255 + 6 * (2 * 255) ** 0.5
    other_layer = hash_uniform(keys(1000), 1, 1000).numpy() / 2**32
    pairs = ((draws[:, 1:], draws[:, :-1]), (draws[1:], draws[:-1]), (draws, other_layer))
    for a, b in pairs:
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.006, "six standard errors of a million pairs"


def test_layers_of_one_network_get_different_masks() -> None:
    model = nn.Sequential(KeyedDropout(0.5), KeyedDropout(0.5)).train()
    set_dropout_keys(model, keys(4))
    x = torch.ones(4, 50)
    assert not torch.equal(model[0](x), model[1](x))
    set_dropout_keys(model, None)
    assert model[0].keys is None


def test_without_keys_it_is_plain_dropout() -> None:
    layer = KeyedDropout(0.4).train()
    x = torch.randn(8, 64)
    torch.manual_seed(3)
    expected = torch.nn.functional.dropout(x, 0.4)
    torch.manual_seed(3)
    assert torch.equal(layer(x), expected)


def test_evaluation_and_zero_probability_change_nothing() -> None:
    x = torch.randn(3, 5)
    for layer in (KeyedDropout(0.9).eval(), KeyedDropout(0.0).train()):
        set_dropout_keys(layer, keys(3))
        assert layer(x) is x


def test_keys_are_no_part_of_the_state() -> None:
    layer = KeyedDropout(0.5)
    set_dropout_keys(layer, keys(3))
    assert layer.state_dict() == {}
    assert list(layer.buffers()) == [], "distributed training would broadcast a buffer over all processes"


def test_gradient_is_the_mask() -> None:
    layer = KeyedDropout(0.5).train()
    set_dropout_keys(layer, keys(4))
    x = torch.randn(4, 10, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, masked(layer, keys(4), 10))


def test_mistakes_are_named() -> None:
    layer = KeyedDropout(0.5).train()
    set_dropout_keys(layer, keys(3))
    with pytest.raises(UsageError, match=r"one key per sample\. Got: \(3,\) keys for a batch of 4"):
        layer(torch.ones(4, 2))
    with pytest.raises(UsageError, match="Dropout probability out of range"):
        KeyedDropout(1.0)
