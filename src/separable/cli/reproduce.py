"""`separable reproduce`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from separable.cli.options import INTERRUPTED, Debug, Json
from separable.cli.output import Output
from separable.errors import SeparableError, UsageError

if TYPE_CHECKING:
    from separable.experiments.pool import Crew
    from separable.experiments.results import Result
    from separable.experiments.schema import Experiment, Scale
    from separable.training.display import Display
    from separable.training.signals import StopRequest

EXAMPLES = """
separable reproduce
separable reproduce xception/table1 --scale laptop
separable reproduce xception/figure10 --scale laptop --seeds 5 --processes 4
separable reproduce mobilenet/tables4-7 --scale smoke
separable reproduce xception/table1 --scale gpu --data flowers/
separable reproduce --all --scale laptop --home results/
"""


def reproduce(
    name: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="As listed without one.", show_default=False)
    ] = None,
    scale: Annotated[
        str,
        typer.Option(
            metavar="WHICH",
            help="smoke (seconds; shows that it works, no more), laptop (minutes on a processor), gpu (minutes on one) "
            "or paper (ImageNet, as published).",
        ),
    ] = "smoke",
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DATA",
            help="Pictures of your own for it: class/..., a list of labels, or images/ with masks/.",
            show_default="drawn ones; for paper ImageNet is needed",
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Trainings of each network.", show_default="as the list says"),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Trainings at once, each on one core.", show_default="the cores; one on a GPU"
        ),
    ] = None,
    home: Annotated[
        Path, typer.Option(metavar="FOLDER", help="For pictures, trainings and results; can be shared.")
    ] = Path("reproductions"),
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    listing: Annotated[
        bool, typer.Option("--list", help="Say what there is, what it costs and what stands, and stop.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Repeat a table or figure of the papers, and set what comes out beside what was published.

    Says before it starts how small a difference it could see. What stands is in FOLDER/NAME/SCALE: result.json,
    result.md and report.html. Ctrl-C saves; the same command goes on, on a processor to the very same table. The same
    training in two tables is done once, and several commands with one FOLDER share the work.
    """
    from separable.machine.runtime import tune_runtime

    tune_runtime(pin=False, cudnn=False)  # before torch is imported; the trainings are processes of their own
    from separable.experiments.catalog import EXPERIMENTS, find_experiments
    from separable.experiments.schema import SCALES

    if scale not in SCALES:
        raise UsageError(f"Unknown scale {scale!r}", expected=", ".join(SCALES))
    if everything and name:
        raise UsageError("--all is all of them", got=f"also {', '.join(name)}", fix="Leave one or the other out")
    named = [one for given in name or () for one in find_experiments(given)]
    unique = {one.name: one for one in (EXPERIMENTS.values() if everything else named)}
    experiments = list(unique.values())
    with Output(json) as out:
        if listing or not experiments:
            _list(experiments or list(EXPERIMENTS.values()), scale, home, out)
            return
        plan = _Plan(scale, data, home, seeds, processes)
        code = plan.carry_out(experiments, out)
    if code:
        raise SystemExit(code)


class _Plan:
    """What was asked for, but of which experiments."""

    def __init__(self, scale: "Scale", data: Path | None, home: Path, seeds: int | None, processes: int | None) -> None:
        self.scale, self.data, self.home, self.seeds, self.processes = scale, data, home, seeds, processes

    def carry_out(self, experiments: Sequence["Experiment"], out: Output) -> int:
        """One after the other; the exit code. What is wrong with one of several does not keep the others."""
        from separable.experiments.pool import Crew
        from separable.experiments.solutions import StoppedError
        from separable.training.display import make_display
        from separable.training.signals import stop_on_signals

        results: list[Result] = []
        stopped_early = False
        refused: dict[str, str] = {}
        display = make_display()
        on_signals = stop_on_signals(lambda _: display.note("Saving; once more to stop at once."))
        with on_signals as stop, Crew(self.home, self.processes or cores_for("cpu")) as crew:
            for experiment in experiments:
                if stop.requested:
                    break
                try:
                    result = self._one(experiment, display, stop, crew)
                except StoppedError:
                    stopped_early = True
                    break
                except SeparableError as error:
                    if len(experiments) == 1:
                        raise
                    refused[experiment.name] = str(error)
                    out.say(f"{experiment.name}: {error}")
                    continue
                results.append(result)
                self._show(result, out)
        out.document({"results": [result.to_json() for result in results], "refused": refused})
        if stop.requested and (stopped_early or not all(result.finished for result in results)):
            out.say("Saved. The same command goes on.")
            return INTERRUPTED
        return 0 if not refused and all(result.finished for result in results) else 1

    def _one(self, experiment: "Experiment", display: "Display", stop: "StopRequest", crew: "Crew") -> "Result":
        from separable.experiments.runner import demand_setup, reproduce

        processes = self.processes or cores_for(demand_setup(experiment, self.scale).device)
        return reproduce(
            experiment,
            self.scale,
            data=self.data,
            home=self.home,
            seeds=self.seeds,
            processes=processes,
            display=display,
            stop=stop,
            crew=crew,
        )

    def _show(self, result: "Result", out: Output) -> None:
        """The table, or, of what was stopped, that it is not one yet."""
        import shutil

        from separable.experiments.render import to_text
        from separable.experiments.runner import place_of

        out.show("")
        out.show(to_text(result, shutil.get_terminal_size((120, 24)).columns))
        for problem in result.problems:
            out.say(f"Something is missing: {problem}")
        out.say(f"\n  look at it    {place_of(self.home, result.experiment, self.scale) / 'report.html'}\n")


def cores_for(device: str) -> int:
    """Trainings at once where nobody says how many."""
    from separable.machine.processor import read_processor

    return read_processor().usable_cores if device.startswith("cpu") else 1


def _list(experiments: Sequence["Experiment"], scale: str, home: Path, out: Output) -> None:
    """A line an experiment: what it is about, what the scale costs, what stands."""
    entries = [_entry(experiment, home) for experiment in experiments]
    rows = []
    for entry in entries:
        cost = entry["costs"].get(scale, "not there")
        stands = "; ".join(f"{one}: {text}" for one, text in entry["stands"].items()) or "nothing"
        rows.append((entry["name"], entry["title"], cost, stands))
    out.table(("name", "what it compares", f"cost at {scale}", "what stands"), rows, whole=(0,))
    out.show("\nA name runs one: separable reproduce xception/table1 --scale laptop. --all runs everything.")
    out.document({"experiments": entries})


def _entry(experiment: "Experiment", home: Path) -> dict[str, Any]:
    """One experiment in the list of `--json`."""
    from separable.experiments.runner import place_of

    standing = {scale: _stands(place_of(home, experiment.name, scale) / "result.json") for scale in experiment.setups}
    return {
        "name": experiment.name,
        "title": experiment.title,
        "source": experiment.source,
        "says": experiment.says,
        "task": experiment.task,
        "scales": list(experiment.setups),
        "costs": dict(experiment.costs),
        "stands": {scale: text for scale, text in standing.items() if text},
    }


def _stands(path: Path) -> str:
    """What a result comes to, in a few words; empty where there is none."""
    from separable.experiments.results import read_result

    try:
        result = read_result(path)
    except SeparableError:
        return "damaged"
    if result is None:
        return ""
    if not result.finished:
        done = sum(len(arm.seeds) for arm in result.arms)
        return f"begun, {done} trainings"
    verdicts = [claim.verdict for claim in result.claims if result.scale != "smoke"]  # of which nothing is to be said
    held = sum(verdict in ("holds", "exact") for verdict in verdicts)
    return f"done {result.date[:10]}" + (f", {held} of {len(verdicts)} claims hold" if verdicts else "")
