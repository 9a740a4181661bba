"""The forms a network that segments takes: saved, copied, trained, recomputed, exported, compiled."""

import copy
import json
import pickle
from pathlib import Path

import pytest
import torch

from separable.blocks import KeyedDropout
from separable.models import (
    SegmentationModel,
    build_model,
    export_graph,
)
from separable.weights import load_model, save_model
from tests.models.segmenting import (
    SEGMENTING,
    SIDES,
    each_case,
    logits,
    make,
    make_alive,
    noise,
)
from tests.models.small import assert_same


@each_case
def test_saved_loaded_copied_and_built_again(case: str, tmp_path: Path) -> None:
    model, x = make(case), noise(1)
    expected = logits(model, x)
    options = json.loads(json.dumps(model.options))
    twin = build_model(model.name, model.num_classes, **options)
    assert isinstance(twin, SegmentationModel)
    assert (twin.options, twin.input_contract) == (model.options, model.input_contract)
    twin.load_state_dict(model.state_dict())
    assert torch.equal(logits(twin, x), expected)
    assert torch.equal(logits(pickle.loads(pickle.dumps(model)), x), expected)
    assert torch.equal(logits(copy.deepcopy(model), x), expected)
    save_model(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert isinstance(loaded, SegmentationModel)
    assert torch.equal(logits(loaded, x), expected)


def undropped(model: SegmentationModel) -> SegmentationModel:
    for layer in model.modules():
        if isinstance(layer, KeyedDropout):
            layer.p = 0.0
    return model


@pytest.mark.parametrize("case", [*SEGMENTING, "unet_xception-skips", "unet-mobilenet"])
def test_training_reaches_everything_and_checkpointing_changes_nothing(case: str) -> None:
    results = []
    for enable in (False, True):
        model = undropped(make(case)).train()
        model.set_grad_checkpointing(enable)
        runs: list[int] = []
        for part in ("encoder.block1", model.chain[-1]):
            if part in dict(model.named_modules()):
                model.get_submodule(part).register_forward_pre_hook(lambda *_, runs=runs: runs.append(1))
        out = model(noise(2))
        (out * torch.linspace(-1, 1, 4)[:, None, None]).sum().backward()
        assert len(runs) % (1 + enable) == 0
        lost = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
        assert not lost
        results.append(({n: p.grad for n, p in model.named_parameters()}, dict(model.named_buffers())))
    for plain, recomputed in zip(*results, strict=True):
        for name, value in plain.items():
            torch.testing.assert_close(recomputed[name], value, rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.compiles
@pytest.mark.parametrize("case", ["unet_xception-skips", "unet", "deeplab_xception65"])
def test_one_exported_graph_serves_every_size(case: str) -> None:
    model = make_alive(case, noise(2))
    graph = export_graph(model, (96, 128)).module()
    for count, height, width in ((1, 128, 96), (3, 97, 131)):
        x = noise(count, height, width)
        with torch.no_grad():
            assert_same(graph(x), model(x))


@pytest.mark.compiles
def test_a_compiled_network_answers_alike() -> None:
    model = make_alive("unet_xception-shallow", noise(2), width=0.125)
    compiled = torch.compile(model, backend="aot_eager", dynamic=True)
    for size in (SIDES, (96, 128)):
        with torch.no_grad():
            assert_same(compiled(noise(1, *size)), model(noise(1, *size)))
