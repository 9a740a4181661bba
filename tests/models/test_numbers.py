"""Parameters to the last digit, from the papers and from Keras (trainable / with batch-norm statistics)."""

import pytest
import torch
from torch import nn

from separable.models import build_model, list_models, model_spec


def counts(model: nn.Module) -> tuple[int, int]:
    trainable = sum(parameter.numel() for parameter in model.parameters())
    statistics = sum(value.numel() for name, value in model.state_dict().items() if "running_" in name)
    return trainable, trainable + statistics


@pytest.mark.parametrize(
    ("name", "options", "trainable", "total"),
    [
        ("xception", {}, 22_855_952, 22_910_480),
        ("xception", {"residual": False}, 21_878_880, None),
        ("inception_v3", {}, 23_817_352, 23_851_784),
        ("inception_v3", {"gamma": True}, 23_834_568, None),
        ("inception_v3", {"gamma": True, "aux_head": True}, 27_161_264, None),
        ("mobilenet_v1", {}, 4_231_976, 4_253_864),
        ("mobilenet_v1", {"width": 0.75}, 2_585_560, 2_601_976),
        ("mobilenet_v1", {"width": 0.5}, 1_331_592, 1_342_536),
        ("mobilenet_v1", {"width": 0.25}, 470_072, 475_544),
    ],
)
def test_parameters(name: str, options: dict[str, object], trainable: int, total: int | None) -> None:
    with torch.device("meta"):
        model = build_model(name, **options)
    assert counts(model)[0] == trainable
    if total is not None:
        assert counts(model)[1] == total


@pytest.mark.parametrize(("fc_layers", "parameters"), [((), 34_833_000), ((4096, 4096), 94_823_016)])
def test_jft_heads(fc_layers: tuple[int, ...], parameters: int) -> None:
    """17,000 classes, without and with two dense layers of 4096 (section 4.3 of the Xception paper)."""
    with torch.device("meta"):
        head = build_model("xception", 17_000, fc_layers=fc_layers).head
    assert head is not None
    assert counts(head)[0] == parameters


def test_the_spectrum_of_layers_of_figure_5() -> None:
    """36 convolutional layers in 14 modules: 2 convolutions and 34 separable ones, shortcuts not counted."""
    names = build_model("xception").state_dict().keys()
    assert sum(name.endswith(".depthwise.weight") for name in names) == 34
    assert sum(name.endswith("shortcut.conv.weight") for name in names) == 4
    assert len({name.split(".")[0] for name in names if name.startswith("block")}) == 14


def test_published_files_are_told_apart_and_their_options_are_legal() -> None:
    files = [(name, file) for name in list_models() for file in model_spec(name).keras_weights]
    assert len({file.url for _, file in files}) == len(files) >= 36
    assert all(file.sha256 is None or len(file.sha256) == 64 for _, file in files)
    with torch.device("meta"):
        for name, options in {(name, tuple(file.options.items())) for name, file in files}:
            build_model(name, **dict(options))


def test_the_smallest_sides_are_keras_own() -> None:
    """Its `min_size`, where keras.applications has the network."""
    keras = {"inception_resnet_v2": 75, "inception_v3": 75, "mobilenet_v1": 32, "resnet50": 32, "vgg16": 32}
    assert {name: model_spec(name).min_size for name in keras} == keras
    assert model_spec("xception").min_size == 71


def test_the_input_contracts_are_those_of_keras() -> None:
    for name, side in (("xception", 299), ("inception_v3", 299), ("mobilenet_v1", 224)):
        contract = model_spec(name).input
        assert contract.size == (side, side)
        assert contract.mean == contract.std == (0.5, 0.5, 0.5), "x / 127.5 - 1"
        assert contract.colour_order == "RGB"
        assert contract.batch_norm_eps == 1e-3


def test_width_rounds_as_documented() -> None:
    xception = build_model("xception", width=0.25, middle_blocks=0)
    assert [tap.channels for tap in xception.taps] == [16, 32, 64, 184, 512], "182 is no multiple of 8"
    inception = build_model("inception_v3", width=0.1)
    assert [tap.channels for tap in inception.taps[:2]] == [16, 19], "slim keeps at least 16 channels"
    mobilenet = build_model("mobilenet_v1", width=0.3)
    assert [tap.channels for tap in mobilenet.taps] == [19, 38, 76, 153, 307], "Keras rounds down"
