"""Running an experiment at a scale, and going on with it: `reproduce`."""

import hashlib
import json
import shlex
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from separable.errors import SeparableError, UsageError
from separable.experiments.alone import all_alone
from separable.experiments.campaign import TIMED, Campaign
from separable.experiments.cells import cell_of, recipe_of
from separable.experiments.judging import judged, row_of
from separable.experiments.listening import Telling
from separable.experiments.pool import Pool
from separable.experiments.power import power, power_text
from separable.experiments.results import Power, Result, read_result
from separable.experiments.schema import Arm, Experiment, Scale, Setup
from separable.experiments.sources import prepare
from separable.experiments.timing import Rounds, time_arms
from separable.files import make_directory, write_text_atomically
from separable.machine.environment import package_versions
from separable.machine.processor import read_processor
from separable.training.codec import to_plain
from separable.training.device import demand_device
from separable.training.display import Display, SilentDisplay
from separable.training.signals import StopRequest

__all__ = ["HOME", "demand_setup", "place_of", "reproduce", "seeds_for"]

HOME = Path("reproductions")


def reproduce(
    experiment: Experiment,
    scale: Scale,
    *,
    data: Path | None = None,
    home: Path = HOME,
    seeds: int | None = None,
    processes: int = 1,
    display: Display | None = None,
    stop: StopRequest | None = None,
) -> Result:
    """Train and measure what an experiment needs at a scale, or the part that is not there yet, and put it together.

    Killed anywhere and started again, it ends with the same result, but for dates, seconds and timings that were not
    finished. Several processes, also on other machines, may do this in one `home` at once: they share the work. What
    stands is in `home`/NAME/SCALE/result.json after every training.

    Args:
        experiment: from the catalogue, or one's own.
        scale: one of its `setups`.
        data: pictures for the experiment's task; None: what the setup has drawn.
        home: where pictures, trainings and results lie.
        seeds: how many; None: the setup's own.
        processes: trainings at once, each in one thread where it runs on a processor.
        display: where words go; None for none.
        stop: asks to save and to end.

    Raises:
        UsageError: the scale is not there, or needs a GPU or pictures that are not there; a network or recipe is wrong.
        DataFolderError: the pictures cannot be read.
        RunFolderError: the result that is there is damaged.
    """
    display, stop = display or SilentDisplay(), stop or StopRequest()
    setup = demand_setup(experiment, scale)
    demand_device(setup.device)
    if processes < 1:
        raise UsageError("Somebody has to do it", got=f"{processes} processes", expected="1 or more")
    chosen = seeds_for(setup, seeds)
    make_directory(home)
    with closing(display):
        source = prepare(experiment, setup, home, data, lambda done, total: _drawn(display, done, total))
        campaign = Campaign(experiment, setup, chosen, source, home)
        return _Run(campaign, scale, data, display, stop).run(processes)


def demand_setup(experiment: Experiment, scale: Scale) -> Setup:
    """What an experiment does at a scale.

    Raises:
        UsageError: nothing.
    """
    if scale not in experiment.setups:
        raise UsageError(f"{experiment.name} has no scale {scale!r}", expected=f"one of {', '.join(experiment.setups)}")
    return experiment.setups[scale]


def seeds_for(setup: Setup, count: int | None) -> tuple[int, ...]:
    """The first `count` of the setup's seeds, and numbers after them where there are fewer.

    Raises:
        UsageError: less than one.
    """
    if count is None:
        return setup.seeds
    if count < 1:
        raise UsageError("Every arm needs a seed", got=count, expected="1 or more")
    more = (number for number in range(count + len(setup.seeds)) if number not in setup.seeds)
    return (*setup.seeds, *more)[:count]


def place_of(home: Path, experiment: Experiment, scale: Scale) -> Path:
    """The folder of an experiment's result."""
    return home / experiment.name / scale


def _drawn(display: Display, done: int, total: int | None) -> None:
    display.counted("pictures drawn", done, total or done)


@dataclass
class _Run:
    """One go at a campaign."""

    campaign: Campaign
    scale: Scale
    data: Path | None
    display: Display
    stop: StopRequest

    def __post_init__(self) -> None:
        self.folder = place_of(self.campaign.home, self.campaign.experiment, self.scale)
        self.earlier = read_result(self.folder / "result.json")
        self.power: Power | None = None
        self.timing: Rounds = {}
        self.problems: dict[str, str] = {}

    def run(self, processes: int) -> Result:
        """All of it."""
        campaign, experiment = self.campaign, self.campaign.experiment
        self.check()
        make_directory(self.folder)
        self.timing = self.timed_before()
        self.announce()
        self.save()
        one_thread = campaign.setup.device.startswith("cpu")
        telling = Telling(campaign, self.display, processes, self.save)
        pool = Pool(campaign.home, processes, telling, one_thread=one_thread)
        self.problems = pool.problems
        if experiment.kind != "count":
            pool.run(campaign.wanted, self.stop)
        if not self.stop.requested and self.times and not self.timing and campaign.finished():
            self.time()
        return self.save()

    def check(self) -> None:
        """Find what is wrong with networks and recipes before anything is trained."""
        for arm in self.campaign.experiment.arms:
            row_of(self.campaign, arm, {})
            if arm.like is None:
                cell_of(self.campaign.setup, arm, self.campaign.source, 0)

    def announce(self) -> None:
        """Say what a comparison can see, before it is run; a run that goes on keeps what was said first."""
        campaign = self.campaign
        if campaign.experiment.kind == "count":
            return
        goes_on = self.earlier is not None and self.same(self.earlier)
        if self.earlier is not None and goes_on:
            self.power = self.earlier.power
        else:
            seeds, held_out = len(campaign.seeds), campaign.source.held_out
            self.power = power(seeds=seeds, held_out=held_out, measure=campaign.first_measure, earlier=self.earlier)
        self.display.note(power_text(self.power, seeds=len(campaign.seeds)))

    def same(self, other: Result) -> bool:
        """Whether a result is of this very campaign, however far it came."""
        mine = self.described()
        return bool(other.setup == mine["setup"] and other.data == mine["data"])

    @property
    def times(self) -> list[str]:
        """Measures that are timed, alone."""
        return [name for name in TIMED if name in self.campaign.experiment.measures]

    @property
    def arms_to_time(self) -> list[Arm]:
        return [arm for arm in self.campaign.experiment.arms if arm.like is None]

    def time(self) -> None:
        """Time every arm while nothing is trained in this home, and keep it."""
        campaign = self.campaign
        cells = {arm.name: to_plain(cell_of(campaign.setup, arm, campaign.source, 0)) for arm in self.arms_to_time}
        self.display.note(f"{campaign.experiment.name}: timing {len(cells)} networks, alone ...")
        with all_alone(campaign.home, self.stop):
            if self.stop.requested:
                return
            try:
                self.timing = time_arms(
                    cells,
                    campaign.source.class_names,
                    self.times,
                    smoke=self.scale == "smoke",
                    progress=lambda done, total: self.display.counted("timed", done, total),
                )
            except SeparableError as error:
                self.problems["timing"] = str(error)
                return
        record = {"key": self.timing_key(), "rounds": self.timing}
        write_text_atomically(self.folder / "timing.json", json.dumps(record, indent=1) + "\n")

    def timed_before(self) -> Rounds:
        """What `time` kept of the same networks on such a machine."""
        try:
            record = json.loads((self.folder / "timing.json").read_text(encoding="utf-8"))
            return dict(record["rounds"]) if record["key"] == self.timing_key() else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def timing_key(self) -> str:
        """Of everything that timings depend on."""
        campaign = self.campaign
        keys = {arm.name: cell_of(campaign.setup, arm, campaign.source, 0).key for arm in self.arms_to_time}
        machine = _machine(campaign.setup.device), package_versions()["torch"]
        text = json.dumps([keys, self.times, machine, self.scale == "smoke"], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def save(self) -> Result:
        """Put together what stands, and write it unless it stands there already."""
        campaign, experiment = self.campaign, self.campaign.experiment
        rows = tuple(row_of(campaign, arm, self.timing.get(arm.like or arm.name, {})) for arm in experiment.arms)
        finished = campaign.finished() and (not self.times or bool(self.timing))
        result = Result(
            **self.described(),
            arms=rows,
            power=self.power,
            claims=judged(campaign, rows),
            seconds=sum(seed.seconds for row in rows for seed in row.seeds),
            finished=finished,
            problems=tuple(dict.fromkeys(self.problems.values())),
        )
        path = self.folder / "result.json"
        before = read_result(path)
        if before is not None and replace(before, date=result.date) == Result.from_json(result.to_json()):
            return before
        result.write(path)
        return result

    def described(self) -> dict[str, Any]:
        """The entries of the result that say what was done, not what came out."""
        campaign, experiment = self.campaign, self.campaign.experiment
        setup, source = campaign.setup, campaign.source
        data = {
            "what": source.what,
            "train": source.train,
            "held_out": source.held_out,
            "classes": len(source.class_names),
            "fingerprint": source.fingerprint,
            "drawn": bool(source.drawn),
        }
        return {
            "experiment": experiment.name,
            "scale": self.scale,
            "title": experiment.title,
            "source": experiment.source,
            "says": experiment.says,
            "reading": experiment.reading,
            "task": experiment.task,
            "kind": experiment.kind,
            "measures": experiment.measures,
            "command": self.command(),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": package_versions(),
            "machine": _machine(setup.device),
            "data": data,
            "setup": _setup(setup, campaign.seeds, experiment.arms),
        }

    def command(self) -> str:
        """What to type to have this again."""
        words = ["separable", "reproduce", self.campaign.experiment.name, "--scale", self.scale]
        if self.data is not None:
            words += ["--data", str(self.data)]
        if self.campaign.seeds != self.campaign.setup.seeds:
            words += ["--seeds", str(len(self.campaign.seeds))]
        return shlex.join(words)


def _setup(setup: Setup, seeds: Sequence[int], arms: Sequence[Arm]) -> dict[str, Any]:
    """What was done to every arm, as plain values: the recipe with all its entries stands in each run folder."""
    plain = json.loads(json.dumps(to_plain(setup)))
    recipe = recipe_of(setup, arms[0])
    return {**plain, "seeds": list(seeds), "recipe_source": recipe.source}


def _machine(device: str) -> dict[str, Any]:
    processor = read_processor()
    machine: dict[str, Any] = {
        "processor": processor.model,
        "cores": processor.usable_cores,
        "memory": processor.memory_bytes,
    }
    if device.startswith("cuda"):
        import torch

        machine["gpu"] = torch.cuda.get_device_name()
    return machine
