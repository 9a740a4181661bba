"""A contestant that runs in torch: our networks, timm's or torchvision's, in one of the ways people set torch up."""

import time
from collections.abc import Callable
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from separable.benchmarking.contest import Answer, Contestant, Given, Runner, Task
from separable.benchmarking.peers.networks import build_network, peer_gradients, peer_network
from separable.blocks.accelerate.settle import settle
from separable.errors import UsageError
from separable.machine.runtime import Settings
from separable.weights.reference import import_framework

__all__ = ["TorchRunner"]

_OPTIONS = {"accelerated", "channels_last", "compiled", "source", "tuned"}
_TIMED = {"train": 16, "infer": 8}
"""Pictures at most on which kernels are timed: what `separable train` and `predict` take."""


class TorchRunner(Runner):
    """Of the contestant's `options`: `source` "separable", "timm" or "torchvision"; `channels_last`, `compiled` and
    `accelerated` say what is done to the network; `tuned` is what `settings` came of."""

    def __init__(self, contestant: Contestant, task: Task, given: Given, settings: Settings | None = None) -> None:
        if unknown := sorted(set(contestant.options) - _OPTIONS):
            raise UsageError("Unknown options of a contestant", got=", ".join(unknown), expected=", ".join(_OPTIONS))
        torch.manual_seed(task.seed)
        self._contestant, self._task, self._settings = contestant, task, settings
        self._source: str = contestant.options.get("source", "separable")
        self._layout = torch.channels_last if contestant.options.get("channels_last") else torch.contiguous_format
        self.network: nn.Module = self._load(given).to(task.device).to(memory_format=self._layout)  # type: ignore[call-overload]
        self.network.train(task.verb == "train")
        pictures = torch.from_numpy(given.pictures()).float().to(task.device)
        self._pictures = pictures.contiguous(memory_format=self._layout)
        self._labels = torch.from_numpy(given.labels()).long().to(task.device)
        self._optimiser = torch.optim.SGD(self.network.parameters(), lr=1e-3, momentum=0.9)
        self._notes: dict[str, Any] = {}
        self._run: Callable[[Tensor], Tensor] = self._prepared()

    def answer(self) -> Answer:
        begun = time.perf_counter()
        found = self._trained() if self._task.verb == "train" else {"logits": self._infer()[: self._task.distinct]}
        self._notes["first_answer_seconds"] = time.perf_counter() - begun
        return {name: value.detach().float().cpu().numpy() for name, value in found.items()}

    def step(self) -> float:
        begun = time.perf_counter()
        if self._task.verb == "train":
            self._train()
            self._optimiser.step()
            self._optimiser.zero_grad(set_to_none=True)
        else:
            self._infer()
        self._wait()
        return time.perf_counter() - begun

    def describe(self) -> dict[str, Any]:
        found: dict[str, Any] = {"versions": self._versions(), "threads": torch.get_num_threads(), **self._notes}
        found["parameters"] = sum(value.numel() for value in self.network.parameters())
        if self._settings is not None:
            found["runtime"] = self._settings.to_json()
        return found

    def peak_memory(self) -> int | None:
        if not self._task.device.startswith("cuda"):
            return None
        peak = torch.cuda.max_memory_allocated(self._task.device)
        torch.cuda.reset_peak_memory_stats(self._task.device)
        return peak

    def _load(self, given: Given) -> nn.Module:
        one, classes = self._contestant, self._task.classes
        weights = given.weights(one.network, one.numerics)
        if self._source != "separable":
            return peer_network(self._source, one.network, classes, weights)
        model = build_network(one.network, classes, one.numerics)
        model.load_state_dict(safetensors.torch.load_file(weights))
        return model

    def _prepared(self) -> Callable[[Tensor], Tensor]:
        options = self._contestant.options
        if options.get("accelerated"):
            self._accelerate()
        if options.get("compiled"):
            return torch.compile(self.network)
        return self.network

    def _accelerate(self) -> None:
        """As training and prediction do: timed once on pictures of this shape, then never again."""
        begun = time.perf_counter()
        example = self._pictures[: _TIMED[self._task.verb]]
        with self._autocast():
            report = settle(self.network, example)
        chosen = [choice for modes in report.choices.values() for choice in modes.values()]
        self._notes["accelerated"] = {
            "changed": len(report.changed),
            "left": len(report.left),
            "note": report.note,
            "chosen": {name: chosen.count(name) for name in sorted(set(chosen))},
            "seconds": time.perf_counter() - begun,
        }

    def _autocast(self) -> torch.autocast:
        kind = torch.device(self._task.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self._contestant.precision == "bf16")

    def _train(self) -> Tensor:
        with self._autocast():
            loss = nn.functional.cross_entropy(self._run(self._pictures), self._labels)
        loss.backward()
        return loss.detach()

    def _trained(self) -> dict[str, Tensor]:
        """Loss and gradients; then everything is as it was before, but for batch normalisation's averages."""
        loss = self._train()
        if self._source == "separable":
            found = {name: value.grad for name, value in self.network.named_parameters() if value.grad is not None}
        else:
            found = peer_gradients(self._source, self._contestant.network, self.network, self._task.classes)
        found = {name: value.clone() for name, value in found.items()}
        self._optimiser.zero_grad(set_to_none=True)
        return {"loss": loss, **found}

    @torch.inference_mode()
    def _infer(self) -> Tensor:
        with self._autocast():
            return self._run(self._pictures)

    def _wait(self) -> None:
        if self._task.device.startswith("cuda"):
            torch.cuda.synchronize(self._task.device)

    def _versions(self) -> dict[str, str]:
        names = [] if self._source == "separable" else [self._source]
        return {"torch": torch.__version__, **{name: import_framework(name).__version__ for name in names}}
