"""What a contest is made of: the task, who takes part, and what each has to be able to do.

A contestant runs in a process of its own, so that no allocator setting, thread pool or patched module of one reaches
another, and so that a peer may live in an environment of its own. This module therefore needs numpy and nothing else.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

__all__ = ["Answer", "Contestant", "Given", "Kind", "Peer", "Runner", "Task", "Verb"]

Verb = Literal["train", "infer"]
Kind = Literal["classify", "segment"]
Answer = dict[str, np.ndarray]
"""What the gate compares, in fp32 or fp64. infer: {"logits": (distinct, classes)} in evaluation mode, or (distinct,
classes, side, side) where pixels are told apart. train: {"loss":
()} and gradients by our own parameter names in our own shapes; all of them where the peer's names are known, the first
convolution's and the classifier's weight at least."""


@dataclass(frozen=True)
class Task:
    """What every contestant has to do: one training step, or one forward pass, on the same pictures.

    A picture has one label, or, to "segment", each of its pixels has.

    The batch holds `distinct` different pictures, again and again. Batch statistics, mean loss and gradients of such a
    batch are those of the different ones, so that fp64 needs to be run on few pictures only, and the gate runs the same
    shapes as the clock.
    """

    verb: Verb
    batch: int
    side: int
    classes: int = 1000
    seed: int = 0
    device: str = "cpu"
    kind: Kind = "classify"

    @property
    def distinct(self) -> int:
        """Different pictures in the batch: the largest divisor of its size up to 4."""
        return max(count for count in (1, 2, 3, 4) if self.batch % count == 0)

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return asdict(self)


@dataclass(frozen=True)
class Contestant:
    """Who takes part, and how it is started.

    Attributes:
        name: in tables, one of a kind in a contest: "timm", "torch, channels_last".
        peer: what `--peers` calls it.
        network: the catalogue's name; contestants of one contest may differ in it.
        precision: "fp32" or "bf16" (autocast, mixed policy, bf16 weights: as the peer's users do it).
        factory: "module:function" that the process calls with (contestant, task, given) and that returns a `Runner`.
        settings: in words, for the table: "default layout", "channels_last, freed memory kept".
        options: more for the factory.
        numerics: whose network it is, "keras" or "timm": the gate's truth is computed with that padding and epsilon.
        prepare: "module:function" called in the process of the harness, with (contestant, task, given), before the
            contestant's process starts: writes weights in the peer's own format.
        python: the interpreter; "" is the one that runs.
        variables: set in the environment of the process; None removes one.
        patience: seconds that opening, the gate and the first step may take together (compiling may be slow).
    """

    name: str
    peer: str
    network: str
    precision: str
    factory: str
    settings: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    numerics: str = "keras"
    prepare: str = ""
    python: str = ""
    variables: dict[str, str | None] = field(default_factory=dict)
    patience: float = 600.0

    def to_json(self) -> dict[str, Any]:
        """The fields; a process is told them this way."""
        return asdict(self)


@dataclass(frozen=True)
class Given:
    """The folder with what all contestants are given; written once, before the first starts."""

    folder: Path

    def pictures(self) -> np.ndarray:
        """(batch, 3, side, side) in fp32, normalised already: about -2 to 2."""
        return _array(self.folder / "pictures.npy")

    def labels(self) -> np.ndarray:
        """(batch,) int64, or (batch, side, side) where pixels are told apart."""
        return _array(self.folder / "labels.npy")

    def weights(self, network: str, numerics: str = "keras") -> Path:
        """A safetensors file of the state dict under our own names; batch statistics are those of the pictures."""
        return self.folder / f"{network.replace(':', '-')}-{numerics}.safetensors"


class Runner(ABC):
    """A contestant that is ready. `answer` is called first and once, then `step` as often as the contest wants.

    A training step is: forward, mean cross-entropy of labels or pixels, backward, SGD with momentum 0.9 and a rate of
    1e-3 and nothing else, no dropout. An inference step ends when the logits are there to be read. Neither counts
    making the pictures, which are in memory (on the device) from the start.
    """

    @abstractmethod
    def answer(self) -> Answer:
        """What comes out with the given weights, before anything is trained."""

    @abstractmethod
    def step(self) -> float:
        """Do one step and return the seconds it took, everything that was started being done."""

    def describe(self) -> dict[str, Any]:
        """Plain JSON: "versions" (package -> version) and whatever else was found or set ("threads", "layout")."""
        return {}

    def peak_memory(self) -> int | None:
        """Bytes on the device at most since the last call; None: the process's own peak is read instead."""
        return None

    def close(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Let go of what was opened."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Peer:
    """One name that `--peers` takes.

    Attributes:
        what: one line for the help.
        contestants: (network, precision, task) -> who takes part; none where the peer lacks the network or precision.
        demand: raises MissingExtraError, which names the install command, where the peer is not there.
    """

    name: str
    what: str
    contestants: Callable[[str, str, Task], Sequence[Contestant]]
    demand: Callable[[], None]


def _array(path: Path) -> np.ndarray:
    loaded: np.ndarray = np.load(path, allow_pickle=False)
    return loaded
