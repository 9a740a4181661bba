import pytest
import torch
from torch import nn

from separable.training.ema import WeightAverage


def small_model() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)


def test_the_mean_follows_tensorflows_warm_up() -> None:
    model = nn.Linear(1, 1, bias=False)
    values = [3.0, -1.0, 4.0, 1.5]
    with torch.no_grad():
        model.weight.fill_(10.0)
    average, expected = WeightAverage(model, 0.3), 10.0
    for n, value in enumerate(values, start=1):
        with torch.no_grad():
            model.weight.fill_(value)
        average.update()
        decay = min(0.3, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * value
    assert average.tensors["weight"].item() == pytest.approx(expected, rel=1e-6)


def test_statistics_are_averaged_and_counters_copied() -> None:
    model = small_model().train()
    average = WeightAverage(model, 0.5)
    for _ in range(3):
        model(torch.randn(4, 3, 5, 5) * 3 + 1)
        average.update()
    norm = model[1]
    assert average.tensors["1.num_batches_tracked"] == 3
    assert not torch.equal(average.tensors["1.running_mean"], norm.running_mean)
    assert average.tensors["1.running_mean"].abs().sum() > 0


def test_applied_gives_the_mean_and_puts_the_weights_back_to_the_bit() -> None:
    model = small_model()
    average = WeightAverage(model, 0.9)
    with torch.no_grad():
        model[0].weight.normal_()
    average.update()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with average.applied():
        assert torch.equal(model[0].weight, average.tensors["0.weight"])
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last)
