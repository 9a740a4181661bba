"""Solving for the widths of arms that have to be as fast as another arm (`Arm.match`), before anything is trained.

Measured as the column of milliseconds is: in a process of its own, `python -m separable.experiments.solving`, that gets
JSON on standard input and answers with a line an arm; on all cores, each network in turns with the one that it has to
be as fast as, so that a slower minute hits both. Nothing else must run meanwhile.
"""

import contextlib
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from separable.errors import SeparableError
from separable.experiments.alone import all_alone
from separable.experiments.campaign import Campaign
from separable.experiments.cells import cell_of
from separable.experiments.made import machine_of
from separable.experiments.solutions import Solution, Solutions, StoppedError, read_solutions
from separable.experiments.timing import environment_of, one_picture, repeated, trial_of
from separable.training.codec import to_plain
from separable.training.display import Display
from separable.training.signals import StopRequest

__all__ = ["main", "measured_widths", "solved"]

_WHOLE = 5, 0.1, 0.25
"""Rounds of a width, seconds of each network in a round, and the largest share by which times may differ: narrow
networks have few widths."""
_SMOKE = 1, 0.005, 1e9


def solved(campaign: Campaign, folder: Path, display: Display, stop: StopRequest, *, smoke: bool = False) -> Campaign:
    """The campaign with the widths of its arms that have a `match`; one without such arms as it is.

    Widths stand in `folder`/widths-....json, each from when it was found, and are taken from there ever after, on other
    machines too; there a note says so. Only where a part of them is missing on another machine all are solved for anew:
    nothing has been trained with them yet.

    Raises:
        StoppedError: `stop` came first.
        SeparableError: a network cannot be timed, or made as fast.
        RunFolderError: the file is damaged.
    """
    matched = {arm.name: arm.match[1] for arm in campaign.experiment.arms if arm.match is not None}
    if not matched:
        return campaign
    path, here = folder / f"widths-{_key(campaign)}.json", machine_of(campaign.setup.device)
    found = read_solutions(path)
    if found is None or set(matched) - set(found.arms):
        with all_alone(campaign.home, stop):
            found = _completed(campaign, matched, path, display, stop, smoke)
    if found.machine != here:
        display.note(
            f"{campaign.experiment.name}: the widths were solved for on another machine, {found.machine['processor']}, "
            f"and are kept. To have them solved for on this one, move {path} away."
        )
    return replace(campaign, setup=found.laid_over(campaign.setup), solved=found, _cells={}, _outcomes={})


def _completed(
    campaign: Campaign, matched: Mapping[str, str], path: Path, display: Display, stop: StopRequest, smoke: bool
) -> Solutions:
    """What is there, and the rest; somebody else may have found all of it while this process waited."""
    here, name = machine_of(campaign.setup.device), campaign.experiment.name
    found = read_solutions(path)
    if found is None or (found.machine != here and set(matched) - set(found.arms)):
        found = Solutions(here, datetime.now(UTC).isoformat(timespec="seconds"), {})
    asked = {
        arm: {"cell": _plain(campaign, arm), "like": _plain(campaign, like)}
        for arm, like in matched.items()
        if arm not in found.arms
    }
    if asked:
        display.note(f"{name}: solving for widths of equal milliseconds, alone ...")
        for arm, answer in measured_widths(asked, campaign.source.class_names, smoke, lambda: stop.requested):
            found = replace(found, arms={**found.arms, arm: Solution(matched[arm], **answer)})
            found.write(path)
            display.note(f"{name}: {arm}: {found.note(arm)}")
    if set(matched) - set(found.arms):
        raise StoppedError(f"{name} was stopped before all of its widths were found", fix="The same command goes on")
    return found


def measured_widths(
    asked: Mapping[str, Mapping[str, Any]], class_names: Sequence[str], smoke: bool, should_stop: Callable[[], bool]
) -> Iterator[tuple[str, dict[str, float]]]:
    """By arm its "width", "milliseconds" and "target", each as soon as it is found.

    Args:
        asked: by arm its "cell" and the cell of the arm that it has to be "like", as plain values.
        class_names: what the networks tell apart.
        smoke: so shortly that it says nothing but that it works.
        should_stop: asked before the first and after each; then no more come.

    Raises:
        SeparableError: the process ended without an answer for each.
    """
    if should_stop():
        return
    request = {"arms": dict(asked), "classes": list(class_names), "smoke": smoke}
    command = [sys.executable, "-m", "separable.experiments.solving"]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own module
            command, env=environment_of(smoke), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError), process.stdin:
                process.stdin.write(json.dumps(request))
            for line in process.stdout:
                yield from json.loads(line).items()
                if should_stop():
                    return
            code = process.wait()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        errors.seek(0)
        said = errors.read().strip().splitlines()
    if code and not should_stop():  # Ctrl-C in a terminal is for this process, too
        got = said[-1].removeprefix("separable.errors.UsageError: ") if said else f"exit code {code}"
        raise SeparableError("The widths cannot be solved for", got=got)


def main() -> None:
    """Answer one request."""
    from separable.machine.runtime import tune_runtime

    request = json.loads(sys.stdin.read())
    device = next(iter(request["arms"].values()))["cell"]["config"]["device"]
    tune_runtime(pin=device.startswith("cpu"))  # before torch is imported
    for arm, asked in request["arms"].items():
        answer = _solution(asked["cell"], asked["like"], request["classes"], *(_SMOKE if request["smoke"] else _WHOLE))
        sys.stdout.write(f"{json.dumps({arm: answer})}\n")
        sys.stdout.flush()


def _solution(
    cell: Mapping[str, Any],
    like: Mapping[str, Any],
    class_names: Sequence[str],
    rounds: int,
    seconds: float,
    tolerance: float,
) -> dict[str, float]:
    from separable.experiments.matching import solve_width
    from separable.training.step import prepare_for_training

    config, reference, _ = trial_of(like, class_names)
    size = reference.input_contract.size
    theirs = _warm(one_picture(reference, size))
    target = repeated(theirs, rounds * seconds)

    def timed(model: Any, _: object) -> float:
        prepare_for_training(model, config)
        ours = _warm(one_picture(model, size))
        ratios = [repeated(ours, seconds) / repeated(theirs, seconds) for _ in range(rounds)]
        return target * statistics.median(ratios)

    network = cell["config"]["model"]
    options = dict(network["options"])
    start = options.pop("width", 1.0)
    found = solve_width(
        network["name"],
        options,
        size[0],
        measure="milliseconds",
        target=1000 * target,
        num_classes=len(class_names),
        tolerance=tolerance,
        device=config.device,
        seconds=timed,
        start=start,
    )
    return {"width": found.width, "milliseconds": found.got, "target": 1000 * target}


def _warm(once: Callable[[], None]) -> Callable[[], None]:
    """Run twice: memory is faulted in, and libraries choose their kernels."""
    once()
    once()
    return once


def _plain(campaign: Campaign, arm: str) -> Any:
    return to_plain(cell_of(campaign.setup, campaign.experiment.arm(arm), campaign.source, 0))


def _key(campaign: Campaign) -> str:
    """Of everything that widths hang on but the machine: networks, sides of pictures, classes, device."""
    setup, experiment = campaign.setup, campaign.experiment
    pairs = [(arm, experiment.arm(arm.match[1])) for arm in experiment.arms if arm.match is not None]
    told = [[[one.model, setup.options_of(one), setup.size_of(one)] for one in pair] for pair in pairs]
    text = json.dumps([told, len(campaign.source.class_names), setup.device], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


if __name__ == "__main__":
    main()
