"""What `train` and `demo` do between reading a folder and saying what came out."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from separable.cli.output import Output, counter, human_bytes, human_seconds
from separable.cli.settings import Wishes, choose_device, configure, new_run, newest_run, run_argument, starting_weights

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
    budget_ms: float | None


def carry_out(plan: Plan, out: Output) -> bool:
    """Train as planned and say what came out; True if somebody interrupted it."""
    from separable.data.folder import read_folder
    from separable.models import demand_classifier, model_spec
    from separable.training.codec import to_plain
    from separable.training.config import TrainConfig
    from separable.training.device import demand_device, settle_device
    from separable.training.estimate import estimate
    from separable.training.session import refuse_occupied

    run = newest_run(plan.data, plan.run) if plan.resume else new_run(plan.data, plan.run)
    recorded = TrainConfig.from_yaml(run / "config.yaml") if plan.resume and (run / "config.yaml").exists() else None
    refuse_occupied(run, plan.resume, plan.data)
    demand_device(choose_device(plan.wishes, recorded))
    demand_classifier(model_spec(plan.wishes.model), "`separable train`")  # before pictures are looked for
    data = read_folder(plan.data, val_fraction=plan.wishes.val_fraction, labels_csv=plan.wishes.labels)
    _describe(data, out)
    wishes = plan.wishes if plan.budget_ms is None else _within(plan.budget_ms, plan.wishes, data, recorded, out)
    weights, why = starting_weights(wishes, recorded, counter("of the published weights fetched", human_bytes))
    config = configure(wishes, run, plan.data, data, weights, recorded)
    if why:
        out.say(why)
    settle_device(config)
    out.say(f"Recipe {config.recipe.name}; everything goes to {run}.")
    if recorded is None or plan.dry_run:
        expected = estimate(config, data)
        out.say(expected.to_text())
        if plan.dry_run:
            out.say(f"Nothing was trained; it would start {f'from {weights}' if weights else 'from scratch'}.")
            out.document({"dry_run": True, "run": str(run), "estimate": expected.to_json(), "config": to_plain(config)})
            return False
    result = run_training(config, data, out, resume=plan.resume, check=plan.check)
    if result.interrupted:
        out.say(f"Go on with the same command and these options:  --run {run_argument(run)} --resume")
    return result.interrupted


def _within(
    budget_ms: float, wishes: Wishes, data: "FolderData", recorded: "TrainConfig | None", out: Output
) -> Wishes:
    """The wishes with the network, its options and size that keep the budget; on a resume those it had."""
    from separable.training.budget import choose_network

    if recorded is not None:
        model = recorded.model
        return replace(wishes, model=model.name, options=model.options, image_size=model.image_size)
    choice = choose_network(budget_ms, len(data.class_names))
    out.say(choice.to_text())
    chosen = choice.chosen
    return replace(wishes, model=chosen.name, options=chosen.options, image_size=(chosen.size, chosen.size))


def run_training(
    config: "TrainConfig",
    data: "FolderData",
    out: Output,
    *,
    resume: bool = False,
    check: bool = True,
) -> "TrainResult":
    """Check, train, report; the words go to `out` and the training's progress to standard error."""
    from separable.training.display import make_display
    from separable.training.loop import train
    from separable.training.report import write_report
    from separable.training.signals import stop_on_signals

    begun = time.monotonic()
    if check and not (Path(config.run) / "check.json").exists():
        _check(config, data, resume, out)
    display = make_display()
    with stop_on_signals(display.note) as stop:
        result = train(config, data, resume=resume, display=display, stop=stop)
    report = write_report(result.run)
    if not result.interrupted:
        _summarise(result, data, report, time.monotonic() - begun, out)
    out.document(_document(result, report))
    return result


def _check(config: "TrainConfig", data: "FolderData", resume: bool, out: Output) -> None:
    """Look at every picture first, for the report; a person is told of what is wrong, and decides."""
    from separable.data.check import check_folder
    from separable.files import make_directory
    from separable.training.lock import run_lock
    from separable.training.session import claim_run

    report = check_folder(data, config.machine.workers, counter("pictures checked"))
    make_directory(Path(config.run))
    with run_lock(Path(config.run)):  # nothing is written into a run that is another's
        claim_run(config, resume)
        report.write(Path(config.run))
    for problem in report.problems:
        out.say(f"{problem.severity}: {problem.what}")
    if report.misleading:
        out.say(f"Training on this may mislead; see `separable check {config.data.root}`.")


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
        f"\nDone in {human_seconds(seconds)}: {accuracy:.1f} % of the {len(data.val):,} held-out pictures named right."
    )
    out.say(f"  look at it    {report}")
    out.say(f"  use it        separable predict {run_argument(result.run)} PICTURES...")


def _document(result: "TrainResult", report: Path) -> dict[str, Any]:
    return {
        "run": str(result.run),
        "interrupted": result.interrupted,
        "steps": result.steps,
        "metrics": result.metrics,
        "report": str(report),
    }
