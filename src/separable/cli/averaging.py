"""`--crops` and `--ensemble` of `evaluate`: answers averaged over views of a picture and over networks."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from separable.errors import UsageError

if TYPE_CHECKING:
    from separable.data.folder import PictureSet
    from separable.data.loader import LoaderConfig
    from separable.models import ImageModel
    from separable.runtime.locate import Located
    from separable.training.evaluate import Evaluation

__all__ = ["Averaging", "load_trained"]

_LONG = 60
"""Letters of names that a folder's name has room for."""


@dataclass(frozen=True)
class Averaging:
    """What was asked for, checked; `others` are the names of the networks beside the one that is evaluated.

    Raises:
        UsageError: a number of crops that nobody has defined.
    """

    crops: int = 1
    others: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.crops != 1:
            from separable.data.crops import demand_crops

            demand_crops(self.crops)

    def __bool__(self) -> bool:
        return self.crops > 1 or bool(self.others)

    def refuse(self, task: str) -> None:
        """Raise UsageError where it has no meaning for what a network of this task answers."""
        if self:
            from separable.cli.tasks import SAID

            raise UsageError(
                "--crops and --ensemble are for networks that choose one class a picture",
                got=f"one that {SAID[task]}",
            )

    @property
    def variant(self) -> str:
        """For the name of a folder."""
        crops = [f"crops-{self.crops}"] if self.crops > 1 else []
        names = "-".join(Path(name).resolve().name for name in self.others)
        if len(names) > _LONG:
            names = f"{len(self.others)}-{hashlib.sha256(names.encode()).hexdigest()[:8]}"
        return "-".join([*crops, *(["ensemble", names] if names else [])])

    def load(self, first: "Located") -> "list[ImageModel]":
        """The networks beside the first.

        Raises:
            UsageError: one of them was not trained by us, or is there twice. SeparableError: one cannot be read.
        """
        models, known = [], [first.path]
        for name in self.others:
            located, model = load_trained(name)
            if located.path is not None and any(one is not None and one.samefile(located.path) for one in known):
                raise UsageError(
                    f"{name} would be in the ensemble twice", fix="Name the networks beside RUN, each once"
                )
            known.append(located.path)
            models.append(model)
        return models

    def doubts(self, held_out: "PictureSet") -> list[str]:
        """What speaks against the figures: runs that may have been trained on what others held out, as sentences."""
        from separable.runtime.locate import locate
        from separable.training.own_set import changed_since

        said = []
        for name in self.others:
            located = locate(name)
            changed = changed_since(located.path, held_out) if located.kind == "run" and located.path else None
            if changed is not None:
                said.append(
                    f"{name} held out other pictures than these ({changed}): it may have been trained on some of them, "
                    "which would make the figures better than they are."
                )
        return said

    def measure(
        self, models: "Sequence[ImageModel]", called: str, pictures: "PictureSet", loader: "LoaderConfig", label: str
    ) -> "Evaluation":
        """The evaluation of all of them together; `called` is the first one's name."""
        from separable.cli.output import counter
        from separable.training.crops import evaluate_crops

        names, progress = (called, *self.others), counter("pictures")
        return evaluate_crops(
            models, pictures, loader, crops=self.crops, set_name=label, names=names, progress=progress
        )


def load_trained(name: str) -> "tuple[Located, ImageModel]":
    """A run or a model folder, and its network.

    Raises:
        UsageError: it is something else. SeparableError: it cannot be read.
    """
    from separable.models import ImageModel
    from separable.runtime.load import load_located
    from separable.runtime.locate import locate

    located = locate(name)
    if located.kind not in ("run", "model"):
        raise UsageError(f"{name} is not something that was trained", expected="a run or a model folder")
    model = load_located(located)
    assert isinstance(model, ImageModel), "a run or a model folder holds one of ours"
    return located, model
