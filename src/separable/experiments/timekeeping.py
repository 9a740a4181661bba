"""Timing the arms of a campaign once, alone, and keeping what came out."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from separable.experiments.alone import all_alone
from separable.experiments.campaign import Campaign
from separable.experiments.cells import Cell, cell_of
from separable.experiments.made import machine_of
from separable.experiments.timing import Rounds, time_arms
from separable.experiments.wording import TIMED
from separable.files import write_text_atomically
from separable.machine.environment import package_versions
from separable.training.codec import to_plain
from separable.training.signals import StopRequest

__all__ = ["Timekeeper"]


class Timekeeper:
    """`rounds` are there once somebody has measured them on such a machine; they stand in `folder`/timing.json."""

    def __init__(self, campaign: Campaign, folder: Path, *, smoke: bool) -> None:
        self._campaign, self._path, self._smoke = campaign, folder / "timing.json", smoke
        self.measures = [name for name in TIMED if name in campaign.experiment.measures]
        self.rounds: Rounds = self._kept() if self.measures else {}

    @property
    def done(self) -> bool:
        """Whether nothing is left to time."""
        return not self.measures or bool(self.rounds)

    def measure(self, stop: StopRequest, progress: Callable[[int, int], None]) -> None:
        """Time every arm while nothing is trained in this home.

        Raises:
            SeparableError: a network cannot be timed.
        """
        cells = {name: to_plain(cell) for name, cell in self._cells().items()}
        with all_alone(self._campaign.home, stop):
            if stop.requested:
                return
            self.rounds = self._kept()  # somebody else may have timed them while this process waited
            if self.rounds:
                return
            names = self._campaign.source.class_names
            self.rounds = time_arms(cells, names, self.measures, smoke=self._smoke, progress=progress)
            record = {"key": self._key(), "rounds": self.rounds}
            write_text_atomically(self._path, json.dumps(record, indent=1) + "\n")

    def _kept(self) -> Rounds:
        try:
            record = json.loads(self._path.read_text(encoding="utf-8"))
            return dict(record["rounds"]) if record["key"] == self._key() else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _cells(self) -> dict[str, Cell]:
        campaign = self._campaign
        arms = [arm for arm in campaign.experiment.arms if arm.like is None]
        return {arm.name: cell_of(campaign.setup, arm, campaign.source, 0) for arm in arms}

    def _key(self) -> str:
        """Of everything that timings depend on."""
        keys = {name: cell.key for name, cell in self._cells().items()}
        machine = machine_of(self._campaign.setup.device), package_versions()["torch"]
        text = json.dumps([keys, self.measures, machine, self._smoke], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
