"""A port's numerics outlive a training on its weights: in the run's model, on a resume, and in what predicts."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from separable.blocks.pool import MaxPool
from separable.data.folder import read_folder
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.runtime import load_predictor
from separable.training.config import TrainConfig
from separable.training.loop import train
from separable.training.step import prepare_for_training
from separable.weights import load_model
from separable.weights.ports.legacy_xception import LEGACY_XCEPTION
from separable.weights.ports.read import port_tensors
from tests.training.killable import small_config, write_pictures

OPTIONS = {"width": 0.125, "stem_stride": 1, "middle_blocks": 1}


def numerics(model: nn.Module) -> tuple[set[float], set[str]]:
    return (
        {layer.eps for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)},
        {layer.border for layer in model.modules() if isinstance(layer, MaxPool)},
    )


def test_training_resume_and_predictor_follow_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[tuple[set[float], set[str]]] = []

    def watched(model: ImageModel, config: TrainConfig) -> None:
        prepare_for_training(model, config)
        trained.append(numerics(model))

    monkeypatch.setattr("separable.training.session.prepare_for_training", watched)
    torch.manual_seed(0)
    torch.save(port_tensors(LEGACY_XCEPTION, build_model("xception", 7, **OPTIONS)), tmp_path / "timm.pth")
    data = read_folder(write_pictures(tmp_path / "data"))
    run = tmp_path / "run"
    config = small_config(run, tmp_path / "data", epochs=1)
    config = replace(config, model=replace(config.model, options=OPTIONS, weights=str(tmp_path / "timm.pth")))
    train(config, data)
    (tmp_path / "timm.pth").unlink()  # a resume takes the weights, and their contract, from the checkpoint
    shutil.rmtree(run / "model")
    shutil.rmtree(max((run / "checkpoints").glob("step-*")))
    train(config, data, resume=True)
    assert trained == [({1e-5}, {"symmetric"})] * 2
    saved = load_model(run / "model")
    assert numerics(saved) == ({1e-5}, {"symmetric"})
    assert (saved.input_contract.padding, saved.input_contract.batch_norm_eps) == ("symmetric", 1e-5)
    predictor = load_predictor(run)
    assert numerics(predictor.model) == ({1e-5}, {"symmetric"})
