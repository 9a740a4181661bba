"""What `train` and `demo` do between reading a folder and saying what came out."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from separable.cli.output import Output, human_seconds
from separable.cli.settings import Wishes, configure, new_run, newest_run, starting_weights

if TYPE_CHECKING:
    from separable.data.folder import FolderData
    from separable.training.config import TrainConfig
    from separable.training.loop import TrainResult

__all__ = ["Plan", "carry_out", "run_training"]


@dataclass(frozen=True)
class Plan:
    """What `train` was asked to do."""

    data: Path
    wishes: Wishes
    run: str | None
    resume: bool
    dry_run: bool
    check: bool
    deterministic: bool
    budget_ms: float | None


def carry_out(plan: Plan, out: Output) -> bool:
    """Train as planned and say what came out; True if somebody interrupted it."""
    from separable.data.folder import read_folder
    from separable.training.config import TrainConfig

    wishes = plan.wishes
    data = read_folder(plan.data, val_fraction=wishes.val_fraction, labels_csv=wishes.labels)
    run = newest_run(plan.data, plan.run) if plan.resume else new_run(plan.data, plan.run)
    recorded = TrainConfig.from_yaml(run / "config.yaml") if plan.resume and (run / "config.yaml").exists() else None
    _describe(data, out)
    weights, why = starting_weights(wishes, recorded)
    config = configure(wishes, run, plan.data, data, weights, recorded)
    out.say(f"Starting {config.model.name} {why}, recipe {config.recipe.name}.")
    if plan.dry_run:
        return False
    result = run_training(config, data, out, resume=plan.resume, check=plan.check)
    return result.interrupted


def run_training(
    config: "TrainConfig", data: "FolderData", out: Output, *, resume: bool = False, check: bool = True
) -> "TrainResult":
    """Check, train, report; the words go to `out` and the training's progress to standard error."""
    from separable.training.display import make_display
    from separable.training.loop import train
    from separable.training.report import write_report
    from separable.training.signals import stop_on_signals

    display = make_display()
    begun = time.monotonic()
    with stop_on_signals(display.note) as stop:
        result = train(config, data, resume=resume, display=display, stop=stop)
    report = write_report(result.run)
    if not result.interrupted:
        _summarise(result, data, report, time.monotonic() - begun, out)
    out.document(_document(result, report))
    return result


def _describe(data: "FolderData", out: Output) -> None:
    classes = f"{len(data.class_names)} classes"
    out.say(
        f"{len(data.train) + len(data.val):,} pictures in {classes}: "
        f"{len(data.train):,} to train on, {len(data.val):,} held out."
    )
    for note in data.notes:
        out.say(note)


def _summarise(result: "TrainResult", data: "FolderData", report: Path, seconds: float, out: Output) -> None:
    accuracy = 100 * result.metrics["val_top1"]
    out.say(
        f"\nDone in {human_seconds(seconds)}: {accuracy:.1f} % of the {len(data.val):,} held-out pictures are right."
    )
    out.say(f"  look at it    {report}")
    out.say(f"  use it        separable predict {result.run} PICTURES...")


def _document(result: "TrainResult", report: Path) -> dict[str, Any]:
    return {
        "run": str(result.run),
        "interrupted": result.interrupted,
        "steps": result.steps,
        "metrics": result.metrics,
        "report": str(report),
    }
