"""What a training leaves behind: the task's results, profile, environment, the model."""

import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from separable.analysis import profile
from separable.data.loader import LoaderConfig
from separable.files import write_text_atomically
from separable.machine.environment import describe_environment
from separable.models.base import ImageModel
from separable.training.config import TrainConfig
from separable.training.journal import read_journal
from separable.training.task import Data, Held, Measured, Objective, Task
from separable.weights import save_model

__all__ = ["measure_latency", "write_environment", "write_results"]


def write_environment(run: Path, config: TrainConfig, chosen: dict[str, Any], **more: Any) -> None:
    """`environment.json`: versions and machine, the seeds, and what the first step chose."""
    seeds = {"training": config.seed, "split": config.data.split_seed}
    _write_json(run / "environment.json", describe_environment(seeds=seeds, chosen=chosen, **more))


def write_results(
    config: TrainConfig,
    task: Task[Data, Held, Measured],
    model: ImageModel,
    data: Data,
    held_out: Held,
    objective: Objective,
    loader: LoaderConfig,
) -> Measured:
    """Evaluate `model`, which holds the weights to keep, and write every result file; safe to repeat."""
    run = Path(config.run)
    save_model(model, run / "model")
    answer = task.write_results(config, model, data, held_out, objective, loader)
    _write_json(run / "profile.json", _profile(run, model))
    return answer


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
