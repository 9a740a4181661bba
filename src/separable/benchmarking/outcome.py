"""What a contest found, and the figures that follow from it: medians, quartiles, paired ratios, shares of a limit."""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from separable.benchmarking.gate import Verdict

__all__ = ["ContestResult", "Entry", "Spread", "Work", "spread_of"]


@dataclass(frozen=True)
class Work:
    """What one step has to do at least: operations (a multiply-add is two), bytes to and from memory, and pictures."""

    flops: float = 0.0
    bytes: float = 0.0
    pictures: int = 0

    def limit(self, flops_per_second: float, bytes_per_second: float) -> float:
        """Seconds, if the slower of the two were all there is; NaN where a rate that is needed is not known."""
        compute = self.flops / flops_per_second if self.flops else 0.0
        memory = self.bytes / bytes_per_second if self.bytes else 0.0
        slower = max(compute, memory)
        return slower if slower > 0 and not math.isnan(compute + memory) else math.nan


@dataclass(frozen=True)
class Spread:
    """A median, the quartiles around it, and of how many values."""

    median: float
    low: float
    high: float
    count: int

    def to_json(self) -> dict[str, float]:
        """The fields."""
        return {"median": self.median, "quartile_1": self.low, "quartile_3": self.high, "count": self.count}


@dataclass(frozen=True)
class Entry:
    """One contestant's result. `seconds` has those of its steps by round; a round without it is left out."""

    name: str
    peer: str
    subject: str
    """The network or the operator."""
    precision: str
    settings: str
    work: Work
    seconds: dict[int, float] = field(default_factory=dict)
    verdict: Verdict | None = None
    failure: str = ""
    """Why nothing, or nothing more, was timed."""
    opening: float = math.nan
    """Seconds until it was ready: starting, compiling, the gate, and the steps that warm up."""
    memory: int | None = None
    """Bytes that its process, or the GPU, held at most during the steps."""
    description: dict[str, Any] = field(default_factory=dict)

    @property
    def spread(self) -> Spread | None:
        """Of the seconds; None if nothing was timed."""
        return spread_of(list(self.seconds.values()))

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers."""
        return {
            **{key: getattr(self, key) for key in ("name", "peer", "subject", "precision", "settings", "failure")},
            "work": {"flops": self.work.flops, "bytes": self.work.bytes, "pictures": self.work.pictures},
            "seconds": [[number, taken] for number, taken in sorted(self.seconds.items())],
            "gate": None if self.verdict is None else self.verdict.to_json(),
            "opening_seconds": None if math.isnan(self.opening) else self.opening,
            "peak_memory_bytes": self.memory,
            "description": json.loads(json.dumps(self.description, default=str), parse_constant=lambda _: None),
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Entry":
        """What `to_json` made."""
        words = {key: stored[key] for key in ("name", "peer", "subject", "precision", "settings", "failure")}
        return cls(
            **words,
            work=Work(**stored["work"]),
            seconds=dict(stored["seconds"]),
            verdict=None if stored["gate"] is None else Verdict.from_json(stored["gate"]),
            opening=math.nan if stored["opening_seconds"] is None else stored["opening_seconds"],
            memory=stored["peak_memory_bytes"],
            description=stored["description"],
        )


@dataclass(frozen=True)
class ContestResult:
    """All entries in the order of the table; ratios are against `baseline`, the name of one of them."""

    title: str
    baseline: str
    entries: tuple[Entry, ...]
    interrupted: bool = False

    def ratio(self, entry: Entry) -> Spread | None:
        """How many times as fast as the baseline, picture for picture: of the rounds that both have, each by itself.

        So a slower minute, which hits both, cancels out. None where there is no such round.
        """
        base = next((one for one in self.entries if one.name == self.baseline), None)
        if base is None:
            return None
        size = entry.work.pictures / base.work.pictures if entry.work.pictures and base.work.pictures else 1.0
        shared = sorted(set(base.seconds) & set(entry.seconds))
        return spread_of([size * base.seconds[number] / entry.seconds[number] for number in shared])

    def rebased(self, baseline: str) -> "ContestResult":
        """The same with ratios against another entry."""
        return replace(self, baseline=baseline)

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers; with what follows from the seconds, for readers without this package."""
        entries = []
        for entry in self.entries:
            spread, ratio = entry.spread, self.ratio(entry)
            pictures = entry.work.pictures
            entries.append(
                {
                    **entry.to_json(),
                    "spread_seconds": None if spread is None else spread.to_json(),
                    "ratio_to_baseline": None if ratio is None else ratio.to_json(),
                    "pictures_per_second": pictures / spread.median if spread and pictures else None,
                }
            )
        return {
            "title": self.title,
            "baseline": self.baseline,
            "interrupted": self.interrupted,
            "entries": entries,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "ContestResult":
        """What `to_json` made; figures that follow from others are not read."""
        entries = tuple(Entry.from_json(entry) for entry in stored["entries"])
        return cls(stored["title"], stored["baseline"], entries, stored["interrupted"])


def spread_of(values: Sequence[float]) -> Spread | None:
    """Median and quartiles, between values where they fall between; None of nothing."""
    if not values:
        return None
    if len(values) == 1:
        return Spread(values[0], values[0], values[0], 1)
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(middle, low, high, len(values))
