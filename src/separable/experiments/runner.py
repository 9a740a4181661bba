"""Running an experiment at a scale, and going on with it: `reproduce`."""

from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from separable.errors import SeparableError, UsageError
from separable.experiments.campaign import Campaign
from separable.experiments.cells import cell_of
from separable.experiments.describing import described
from separable.experiments.judging import judged, row_of
from separable.experiments.listening import Telling
from separable.experiments.made import distinct, mixed
from separable.experiments.pool import Crew, Pool
from separable.experiments.power import power, power_text
from separable.experiments.render import write_pages
from separable.experiments.results import Power, Result, finished_results, read_result
from separable.experiments.schema import Experiment, Scale, Setup
from separable.experiments.solving import solved
from separable.experiments.sources import prepare
from separable.experiments.timekeeping import Timekeeper
from separable.files import make_directory
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
    crew: Crew | None = None,
) -> Result:
    """Train and measure what an experiment needs at a scale, or the part that is not there yet, and put it together.

    Killed anywhere and started again, it ends with the same result, but for dates, seconds and timings that were not
    finished; on a GPU, some of whose kernels add in no fixed order, but for what rounding makes of that, too. Several
    processes, also on other machines, may do this in one `home` at once: they share the work. What stands is in
    `home`/NAME/SCALE/result.json after every training, and at the end in result.md and report.html.

    Args:
        experiment: from the catalogue, or one's own.
        scale: one of its `setups`.
        data: pictures for the experiment's task; None: what the setup has drawn.
        home: where pictures, trainings and results lie.
        seeds: how many; None: the setup's own.
        processes: trainings at once, each in one thread where it runs on a processor.
        display: where words go; None for none.
        stop: asks to save and to end.
        crew: processes to use in place of `processes` new ones, where they are of this home and kind.

    Raises:
        UsageError: the scale is not there, or needs a GPU or pictures that are not there; a network or recipe is wrong.
        DataFolderError: the pictures cannot be read.
        RunFolderError: the result that is there is damaged, or what is written down of widths.
        SeparableError: widths that have to be solved for cannot be; `StoppedError` where `stop` came before they were.
    """
    display, stop = display or SilentDisplay(), stop or StopRequest()
    setup = demand_setup(experiment, scale)
    demand_device(setup.device)
    if processes < 1:
        raise UsageError("Somebody has to do it", got=f"{processes} processes", expected="1 or more")
    chosen = seeds_for(setup, seeds)
    make_directory(home)
    with closing(display):
        said = display

        def drawn(done: int, total: int | None) -> None:
            said.counted("pictures drawn", done, total or done)

        source = prepare(experiment, setup, home, data, drawn)
        campaign = Campaign(experiment, setup, chosen, source, home)
        on_cpu = setup.device.startswith("cpu")
        with ExitStack() as stack:
            if crew is None or (crew.home, crew.one_thread) != (home, on_cpu):
                crew = stack.enter_context(Crew(home, processes, one_thread=on_cpu))
            run = _Run(campaign, scale, data, display, stop)
            result = run.run(crew)
        # Stopped, the crew has saved only now: what it finished meanwhile counts.
        return run.save() if stop.requested else result


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


def place_of(home: Path, name: str, scale: Scale) -> Path:
    """The folder of an experiment's result."""
    return home / name / scale


class _Run:
    """One go at a campaign."""

    def __init__(
        self, campaign: Campaign, scale: Scale, data: Path | None, display: Display, stop: StopRequest
    ) -> None:
        self.campaign, self.scale, self.data, self.display, self.stop = campaign, scale, data, display, stop
        self.folder = place_of(campaign.home, campaign.experiment.name, scale)
        self.earlier = read_result(self.folder / "result.json")
        self.power: Power | None = None
        self.problems: dict[str, str] = {}

    def run(self, crew: Crew) -> Result:
        """All of it."""
        campaign = self.campaign
        self.check()
        make_directory(self.folder)
        smoke = self.scale == "smoke"
        campaign = self.campaign = solved(campaign, self.folder, self.display, self.stop, smoke=smoke)
        self.times = Timekeeper(campaign, self.folder, smoke=smoke)
        self.announce()
        self.save()
        if campaign.experiment.kind != "count":
            pool = Pool(crew, Telling(campaign, self.display, crew.processes, self.save))
            self.problems = pool.problems
            pool.run(campaign.wanted, self.stop)
        if not self.stop.requested and not self.times.done and campaign.finished():
            self.time()
        result = self.save()
        write_pages(result, self.folder)
        return result

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
        seeds = len(campaign.seeds)
        if self.earlier is not None and self.is_of_this(self.earlier):
            self.power = self.earlier.power
        else:
            held_out, measure = campaign.source.held_out, campaign.first_measure
            mine = described(campaign, self.scale, self.data)
            earlier, like = finished_results(campaign.home, self.scale), (mine["data"], mine["setup"])
            self.power = power(seeds=seeds, held_out=held_out, measure=measure, earlier=earlier, like=like)
        self.display.note(power_text(self.power, seeds=seeds))

    def is_of_this(self, other: Result) -> bool:
        """Whether a result is of this very campaign, however far it came."""
        mine: dict[str, Any] = described(self.campaign, self.scale, self.data)
        return bool(other.setup == mine["setup"] and other.data == mine["data"])

    def time(self) -> None:
        """What cannot be timed does not take the rest away."""
        name = self.campaign.experiment.name
        self.display.note(f"{name}: timing the networks, alone ...")
        try:
            self.times.measure(self.stop, lambda done, total: self.display.counted("timed", done, total))
        except SeparableError as error:
            if not self.stop.requested:  # Ctrl-C ends the process that times
                self.problems["timing"] = str(error)

    def save(self) -> Result:
        """Put together what stands, and write it unless it stands there already."""
        campaign, experiment, rounds = self.campaign, self.campaign.experiment, self.times.rounds
        rows = tuple(row_of(campaign, arm, rounds.get(arm.like or arm.name, {})) for arm in experiment.arms)
        result = Result(
            **described(campaign, self.scale, self.data),
            arms=rows,
            power=self.power,
            claims=judged(campaign, rows),
            seconds=sum(seed.seconds for row in rows for seed in row.seeds),
            finished=campaign.finished() and self.times.done,
            problems=tuple(dict.fromkeys([*self.problems.values(), *mixed(distinct(campaign.outcomes()))])),
        )
        path = self.folder / "result.json"
        before = read_result(path)
        if before is not None and replace(before, date=result.date) == Result.from_json(result.to_json()):
            return before
        result.write(path)
        return result
