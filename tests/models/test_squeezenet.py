"""Table 1 of arXiv:1602.07360, row by row, and the rectified convolution that is its classifier."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from separable.analysis.profile import profile
from separable.blocks import KeyedDropout
from separable.errors import ModelOptionError
from separable.models import ImageModel, build_model, model_spec
from separable.weights import create_model, save_model

PARAMETERS = {  # table 1, "# parameters before pruning"
    "conv1": 14_208,
    "fire2": 11_920,
    "fire3": 12_432,
    "fire4": 45_344,
    "fire5": 49_440,
    "fire6": 104_880,
    "fire7": 111_024,
    "fire8": 188_992,
    "fire9": 197_184,
    "head": 513_000,
}


def counts(model: ImageModel) -> dict[str, int]:
    found = {name: sum(p.numel() for p in child.parameters()) for name, child in model.named_children()}
    return {name: count for name, count in found.items() if count}


def test_parameters_of_table_1() -> None:
    assert counts(build_model("squeezenet")) == PARAMETERS
    assert sum(PARAMETERS.values()) == 1_248_424


def test_grids_of_table_1_are_those_of_227_pixels() -> None:
    """111, 55, 27, 13: the 224x224 that the table prints as input would make the first one 109."""
    with torch.device("meta"):
        model = build_model("squeezenet")
    for side, grids in ((227, [111, 55, 27, 13]), (224, [109, 54, 27, 13])):
        maps = model.forward_pyramid(torch.empty(1, 3, side, side, device="meta"))
        assert [m.shape[-1] for m in maps] == grids
        assert [m.shape[1] for m in maps] == [96, 256, 512, 512]


def test_version_1_1() -> None:
    """ "2.4x less computation than v1.0" (the authors' page), and the pools after fire3 and fire5."""
    with torch.device("meta"):
        model = build_model("squeezenet", version="1.1")
    assert sum(counts(model).values()) == 1_235_496
    macs = profile(model, (1, 3, 224, 224)).macs
    assert round(model_spec("squeezenet").macs / macs, 2) == 2.35
    order = [name for name in model.chain if name.startswith("pool")]
    assert [model.chain[model.chain.index(name) - 1] for name in order] == ["conv1", "fire3", "fire5"]
    with pytest.raises(ModelOptionError, match=r"version\. Got: '1_1'\. Expected: '1\.0' or '1\.1'"):
        build_model("squeezenet", version="1_1")


def test_pools_hang_over_the_edge() -> None:
    """Caffe's rounding: 54 pixels become 27, where an unpadded pool of torch's would drop the last one and give 26."""
    pool = build_model("squeezenet", width=0.05).get_submodule("pool4")
    x = torch.rand(1, 2, 54, 55)
    assert pool(x).shape[-2:] == (27, 27)
    padded = F.pad(x, (0, 0, 0, 1), value=-1.0)
    assert torch.equal(pool(x), F.max_pool2d(padded, 3, 2))


def test_the_head_averages_rectified_scores() -> None:
    model = build_model("squeezenet", 7, width=0.25).eval()
    features = torch.randn(2, model.num_features, 3, 4)
    head = model.head
    assert head is not None
    weight, bias = head.classifier.weight, head.classifier.bias
    with torch.no_grad():
        scores = torch.einsum("nchw,oc->nohw", features, weight[:, :, 0, 0]) + bias[:, None, None]
        torch.testing.assert_close(model.forward_head(features), scores.clamp(min=0).mean((2, 3)))
        torch.testing.assert_close(model.forward_head(features, pre_logits=True), features.mean((2, 3)))
    dropped = [layer for layer in model.modules() if isinstance(layer, KeyedDropout)]
    assert [layer.p for layer in dropped] == [0.5]


def test_a_new_classifier_can_learn(tmp_path: Path) -> None:
    """One of zeros under a ReLU would have no gradient, ever."""
    save_model(build_model("squeezenet", 6, width=0.25), tmp_path)
    model = create_model("squeezenet", 4, tmp_path, width=0.25, dropout=0.0).train()
    logits = model(torch.rand(2, 3, 64, 64))
    assert isinstance(logits, torch.Tensor)
    assert torch.equal(logits, torch.ones(2, 4)), "the same for every class, to begin with"
    F.cross_entropy(logits, torch.tensor([0, 2])).backward()
    gradient = model.get_classifier().weight.grad
    assert gradient is not None
    assert gradient.flatten(1).abs().max(1).values.min() > 0
