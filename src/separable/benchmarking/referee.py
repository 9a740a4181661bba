"""What contestants are given and what they should answer: the network in plain torch, in fp64 and in each precision."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from separable.analysis.profile import profile
from separable.benchmarking.arrays import as_array
from separable.benchmarking.contest import Answer, Contestant, Given, Runner, Task
from separable.benchmarking.gate import Verdict, judge
from separable.benchmarking.outcome import Work
from separable.benchmarking.peers.networks import build_network, demand_certain
from separable.benchmarking.remote import RemoteRunner
from separable.weights.verify import structured_pixels

__all__ = ["Referee", "answer_of", "give", "give_weights", "open_referee", "work_of"]

_FACTORY = "separable.benchmarking.referee:open_referee"
_LAYOUT = "channels_last"
"""The option of contestants in torch, and of the referee's own processes."""
_ROUNDING = 2e-5
"""Relative error of logits that two right fp32 implementations may differ by."""
_FLIPS = 3e-3
"""The same of gradients: rounding flips ReLUs near zero. Measured 4e-7 to 4e-4 at 64 to 139
pixels, one parameter by itself up to 0.016; another framework's borders and epsilon are more than 0.5 off."""
_PATCHES = 8
_NEAR_ONE = 0.2
"""How far gammas may be from 1; uniform."""
_BETAS = 1.0, 3.0
"""Between which betas are uniform. A ReLU then cuts what is one to three standard deviations below its mean: nearer to
half of everything, a deep random network is chaotic, and no rounding can be judged (betas of 0 to 2: torch's own
gradients in bf16 are 0.35 from fp64's in MobileNet at 96 pixels, and 0.06 with these)."""


def work_of(network: str, task: Task, numerics: str = "keras") -> Work:
    """A multiply-add is two operations; a training step is three passes of the forward one's."""
    with torch.device("meta"):
        model = build_network(network, task.classes, numerics)
    macs = profile(model.eval(), (1, 3, task.side, task.side)).macs
    return Work(flops=2.0 * macs * task.batch * (3 if task.verb == "train" else 1), pictures=task.batch)


def give(task: Task, folder: Path) -> Given:
    """Write pictures and labels into `folder`; those of pixels are patches, eight a side."""
    repeats = task.batch // task.distinct
    pixels = structured_pixels(task.distinct, task.side, task.side, task.seed).astype(np.float32)
    pictures = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)) / 127.5 - 1
    drawn = (task.distinct, _PATCHES, _PATCHES) if task.kind == "segment" else task.distinct
    labels = np.random.default_rng(task.seed).integers(0, task.classes, drawn)
    if task.kind == "segment":
        place = np.arange(task.side) * _PATCHES // task.side
        labels = labels[:, place[:, None], place]
    np.save(folder / "pictures.npy", np.concatenate([pictures.astype(np.float32)] * repeats))
    np.save(folder / "labels.npy", np.concatenate([labels.astype(np.int64)] * repeats))
    return Given(folder)


def give_weights(task: Task, given: Given, network: str, numerics: str) -> None:
    """Write the weights of a network, unless they are there.

    Raises:
        UsageError: it is to be trained, and throws dice while it trains.
    """
    path = given.weights(network, numerics)
    if path.exists():
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed)
        model = build_network(network, task.classes, numerics)
    pictures = torch.from_numpy(given.pictures()[: task.distinct])
    _enliven(model, pictures, task.seed)
    if task.verb == "train":
        demand_certain(network, model, pictures)
    safetensors.torch.save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)


def answer_of(
    model: nn.Module,
    task: Task,
    given: Given,
    precision: str,
    layout: torch.memory_format = torch.contiguous_format,
) -> Answer:
    """What a network in plain torch answers, its own parameter names with it.

    In fp64 on the distinct pictures alone, which is the same; in the others on the whole batch, for rounding grows
    with it: torch sums the gradients of a layer normalisation in bf16 over all places, and of 50,000 gets a seventh.
    """
    dtype, count = (torch.float64, task.distinct) if precision == "fp64" else (torch.float32, task.batch)
    pictures = torch.from_numpy(given.pictures()[:count]).to(task.device, dtype).contiguous(memory_format=layout)
    labels = torch.from_numpy(given.labels()[:count]).to(task.device)
    model = model.to(memory_format=layout)  # type: ignore[call-overload]
    low = torch.autocast(torch.device(task.device).type, torch.bfloat16, enabled=precision == "bf16")
    if task.verb == "infer":
        with torch.inference_mode(), low:
            return {"logits": as_array(model.eval()(pictures))[: task.distinct]}
    with low:
        loss = nn.functional.cross_entropy(model.train()(pictures), labels)
    loss.backward()
    gradients = {name: value.grad for name, value in model.named_parameters()}
    found = {name: as_array(value) for name, value in gradients.items() if value is not None}
    return {"loss": as_array(loss), **found}


def open_referee(contestant: Contestant, task: Task, given: Given) -> Runner:
    """The factory of the referee's own processes: fp64, or plain torch in the precision of a contestant."""
    return _RefereeRunner(contestant, task, given)


@final
class _RefereeRunner(Runner):
    def __init__(self, contestant: Contestant, task: Task, given: Given) -> None:
        model = build_network(contestant.network, task.classes, contestant.numerics)
        model.load_state_dict(safetensors.torch.load_file(given.weights(contestant.network, contestant.numerics)))
        dtype = torch.float64 if contestant.precision == "fp64" else torch.float32
        self._model = model.to(task.device, dtype)
        layout = torch.channels_last if contestant.options[_LAYOUT] else torch.contiguous_format
        self._asked = task, given, contestant.precision, layout

    def answer(self) -> Answer:
        return answer_of(self._model, *self._asked)

    def step(self) -> float:
        raise NotImplementedError("the referee does not play")


@dataclass
class Referee:
    """Judges answers. What is right is worked out once for each network, and how near to it plain torch comes once for
    each precision and layout, in processes that then give back their memory.

    Attributes:
        patience: seconds for one pass in fp64.
    """

    task: Task
    given: Given
    patience: float = 600.0
    _answers: dict[tuple[str, str, str, bool], Answer] = field(default_factory=dict, repr=False)

    def judge(self, contestant: Contestant, answer: Answer) -> Verdict:
        """Against fp64 and against plain torch in the precision and the layout of the contestant.

        Raises:
            ContestantError: the referee itself failed.
        """
        truth = self._expected(contestant, "fp64", channels_last=True)
        own = self._expected(contestant, contestant.precision, bool(contestant.options.get(_LAYOUT)))
        demanded = ("logits",) if self.task.verb == "infer" else ("loss", *_ends(truth))
        least = _FLIPS if self.task.verb == "train" else _ROUNDING
        return judge(answer, truth, own, contestant.precision, demanded, least)

    def _expected(self, contestant: Contestant, precision: str, channels_last: bool) -> Answer:
        key = contestant.network, contestant.numerics, precision, channels_last
        if key not in self._answers:
            name = f"referee {' '.join(map(str, key))}"
            options = {_LAYOUT: channels_last}
            asked = Contestant(
                name, "referee", contestant.network, precision, _FACTORY, "", options, contestant.numerics
            )
            with RemoteRunner(asked, self.task, self.given, self.patience) as runner:
                self._answers[key] = runner.answer()
        return self._answers[key]


def _ends(truth: Answer) -> tuple[str, ...]:
    """The first convolution's weight and the classifier's: whatever is wrong in between shows in the first."""
    weights = [name for name, value in truth.items() if value.ndim in (2, 4)]
    return weights[0], weights[-1]


@torch.no_grad()
def _enliven(model: nn.Module, pictures: Tensor, seed: int) -> None:
    """Gammas and betas that matter, and the statistics of these pictures: else all pictures get the same logits."""
    generator = torch.Generator().manual_seed(seed)
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        for name, value in norm.named_parameters():
            if name == "weight":
                value.uniform_(1 - _NEAR_ONE, 1 + _NEAR_ONE, generator=generator)
            else:
                value.uniform_(*_BETAS, generator=generator)
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    model.train()(pictures)
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
