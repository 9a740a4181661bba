"""What `train` and `demo` do between reading a folder and saying what came out."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from separable.cli.job import Job, job_for
from separable.cli.output import Output, counter, human_bytes, human_seconds
from separable.cli.settings import Wishes, choose_device, configure, new_run, newest_run, run_argument
from separable.cli.starting import starting_weights

if TYPE_CHECKING:
    from separable.training.config import TrainConfig
    from separable.training.loop import TrainResult
    from separable.training.task import TaskData

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
    from separable.training.codec import to_plain
    from separable.training.config import TrainConfig
    from separable.training.device import demand_device, settle_device
    from separable.training.estimate import estimate
    from separable.training.session import refuse_occupied

    run = newest_run(plan.data, plan.run) if plan.resume else new_run(plan.data, plan.run)
    recorded = TrainConfig.from_yaml(run / "config.yaml") if plan.resume and (run / "config.yaml").exists() else None
    refuse_occupied(run, plan.resume, plan.data)
    demand_device(choose_device(plan.wishes, recorded))
    job = job_for(plan.wishes.task)
    job.refuse(plan.wishes, plan.budget_ms)  # before pictures are looked for
    data = job.read(plan.data, plan.wishes)
    for line in job.describe(data):
        out.say(line)
    wishes = plan.wishes if plan.budget_ms is None else _within(job, plan, data, recorded, out)
    weights, why = starting_weights(wishes, recorded, counter("of the published weights fetched", human_bytes))
    config = configure(wishes, run, plan.data, data, weights, recorded)
    if why:
        out.say(why)
    settle_device(config)
    out.say(f"Recipe {config.recipe.name}; everything goes to {run}.")
    if recorded is None or plan.dry_run:
        out.say("Timing a few steps on this machine, to estimate what the training takes ...")
        expected = estimate(config, data, job.task())
        out.say(expected.to_text())
        if plan.dry_run:
            out.say(f"Nothing was trained; it would start {_start(config)}.")
            out.document({"dry_run": True, "run": str(run), "estimate": expected.to_json(), "config": to_plain(config)})
            return False
    result = run_training(config, data, out, resume=plan.resume, check=plan.check)
    if result.interrupted:
        out.say(f"Go on with the same command and these options:  --run {run_argument(run)} --resume")
    return result.interrupted


def _within(job: Job, plan: Plan, data: "TaskData", recorded: "TrainConfig | None", out: Output) -> Wishes:
    """The wishes with the network, its options and size that keep the budget; on a resume those it had."""
    assert plan.budget_ms is not None
    if recorded is not None:
        model = recorded.model
        return replace(plan.wishes, model=model.name, options=model.options, image_size=model.image_size)
    return job.within(plan.budget_ms, plan.wishes, data, out)


def _start(config: "TrainConfig") -> str:
    model = config.model
    whole = f"from {model.weights}" if model.weights else "from scratch"
    return f"{whole}, its encoder from {model.encoder_weights}" if model.encoder_weights else whole


def run_training(
    config: "TrainConfig",
    data: "TaskData",
    out: Output,
    *,
    resume: bool = False,
    check: bool = True,
) -> "TrainResult":
    """Check, train, report; the words go to `out` and the training's progress to standard error.

    Args:
        data: what the configuration's task trains on: of `read_folder`, `read_manifest` or `read_pairs`.
    """
    from separable.cli.reports import write_report
    from separable.training.display import make_display
    from separable.training.loop import train
    from separable.training.session import has_checkpoint
    from separable.training.signals import stop_on_signals

    job = job_for(config)
    begun = time.monotonic()
    if check and not (Path(config.run) / "check.json").exists():
        _check(job, config, data, resume, out)
    display = make_display()
    with stop_on_signals(display.note) as stop:
        result = train(config, data, task=job.task(), resume=resume, display=display, stop=stop)
    # Stopped before the first checkpoint, there is nothing to report.
    report = write_report(result.run) if not result.interrupted or has_checkpoint(result.run) else None
    if not result.interrupted:
        assert report is not None
        achieved = [job.achieved(result.metrics, data), *_how_measured(config, result, data)]
        _summarise(result, achieved, report, time.monotonic() - begun, out)
    out.document(_document(result, report))
    return result


def _check(job: Job, config: "TrainConfig", data: Any, resume: bool, out: Output) -> None:
    """Look at every picture first, for the report; a person is told of what is wrong, and decides."""
    from separable.files import make_directory
    from separable.training.lock import run_lock
    from separable.training.session import claim_run

    report = job.check(data, config.machine.workers, counter("pictures checked"))
    make_directory(Path(config.run))
    with run_lock(Path(config.run)):  # nothing is written into a run that is another's
        claim_run(config, resume)
        report.write(Path(config.run))
    for remark in report.remarks[len(data.notes) :]:  # what looking at the files added to reading their names
        out.say(remark)
    for problem in report.problems:
        out.say(f"{problem.severity}: {problem.what}")
    if report.misleading:
        out.say(f"Training on this may mislead; see `separable check {config.data.root}`.")


def _how_measured(config: "TrainConfig", result: "TrainResult", data: Any) -> Iterator[str]:
    """What must be known to compare the figures of the end with others."""
    if config.precision == "bf16":
        yield "The epochs were measured in bf16, this in fp32: last digits may differ."
    if config.task != "segment":
        return
    from separable.models import InputContract
    from separable.segmentation.measured_at import measured_at, picture_scale

    stored, model = (
        json.loads((result.run / name).read_text(encoding="utf-8")) for name in ("evaluation.json", "model/config.json")
    )
    contract = InputContract.from_json(model["input"])
    scale = picture_scale([data.val.root / path for path in data.val.paths], contract)
    yield measured_at(contract.size, stored["boundary_tolerance"], scale)


def _summarise(result: "TrainResult", achieved: Sequence[str], report: Path, seconds: float, out: Output) -> None:
    out.say(f"\nDone in {human_seconds(seconds)}: {achieved[0]}.")
    for remark in achieved[1:]:
        out.say(remark)
    out.say(f"  look at it    {report}")
    out.say(f"  use it        separable predict {run_argument(result.run)} PICTURES...")


def _document(result: "TrainResult", report: Path | None) -> dict[str, Any]:
    return {
        "run": str(result.run),
        "interrupted": result.interrupted,
        "steps": result.steps,
        "metrics": result.metrics,
        "report": None if report is None else str(report),
    }
