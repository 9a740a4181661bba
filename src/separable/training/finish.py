"""What a training leaves behind: evaluation, predictions, suspicious labels, profile, environment, the model."""

import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from separable.analysis import profile
from separable.analysis.labels import find_label_problems, write_suspects
from separable.data.folder import FolderData
from separable.data.loader import LoaderConfig
from separable.files import path_from, write_text_atomically
from separable.machine.environment import describe_environment
from separable.models.base import ImageModel
from separable.training.config import TrainConfig
from separable.training.evaluate import Evaluation, EvaluationSet, evaluate
from separable.training.journal import read_journal
from separable.weights import save_model

__all__ = ["measure_latency", "write_environment", "write_results"]


def write_environment(run: Path, config: TrainConfig, chosen: dict[str, Any], **more: Any) -> None:
    """`environment.json`: versions and machine, the seeds, and what the first step chose."""
    seeds = {"training": config.seed, "split": config.data.split_seed}
    _write_json(run / "environment.json", describe_environment(seeds=seeds, chosen=chosen, **more))


def write_results(
    run: Path, config: TrainConfig, model: ImageModel, data: FolderData, val: EvaluationSet, loader: LoaderConfig
) -> Evaluation:
    """Evaluate `model`, which holds the weights to keep, and write every result file; safe to repeat."""
    save_model(model, run / "model")
    label_check = config.machine.label_check
    evaluation = evaluate(model, val, with_features=label_check)
    evaluation.write(run)
    if label_check and not (run / "suspects.csv").exists():  # it may hold a person's corrections by now
        _write_suspects(run, config, model, data, evaluation, loader)
    _write_json(run / "profile.json", _profile(run, model))
    return evaluation


def _write_suspects(
    run: Path, config: TrainConfig, model: ImageModel, data: FolderData, val: Evaluation, loader: LoaderConfig
) -> None:
    """Over both sets together. Paths are as `read_folder(labels_csv=...)` wants them back: from the data folder on."""
    train = evaluate(model, data.train, loader, with_features=True)
    if train.features is None or val.features is None:
        return
    suspects = find_label_problems(
        np.concatenate([train.features, val.features]),
        np.concatenate([train.labels, val.labels]),
        data.class_names,
        [
            *(path_from(config.data.root, data.train.root, path) for path in train.paths),
            *(path_from(config.data.root, data.val.root, path) for path in val.paths),
        ],
        seed=config.seed,
    )
    write_suspects(suspects, run / "suspects.csv")


def _profile(run: Path, model: ImageModel) -> dict[str, Any]:
    height, width = model.input_contract.size
    shape = (1, 3, height, width)
    totals = profile(model, shape)
    rates = [
        row["timing"]["images_per_second"]
        for row in read_journal(run / "metrics.jsonl")
        if row["kind"] == "step" and row.get("timing")
    ]
    return {
        "parameters": totals.parameters,
        "macs": totals.macs,
        "activations": totals.activations,
        "images_per_second_train": statistics.median(rates) if rates else None,
        "latency_ms_batch1": 1000 * measure_latency(model, shape),
        "input": [height, width],
    }


@torch.no_grad()
def measure_latency(model: ImageModel, shape: tuple[int, ...], *, repeats: int = 5) -> float:
    """Median seconds of one evaluation-mode forward, after one to warm up."""
    was_training = model.training
    model.eval()
    x = torch.zeros(shape, device=next(model.parameters()).device).contiguous(memory_format=torch.channels_last)
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        model(x).sum().item()
        times.append(time.perf_counter() - start)
    model.train(was_training)
    return statistics.median(times[1:])


def _write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=1)
    write_text_atomically(path, text)
