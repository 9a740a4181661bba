"""The result of a run of the harness: contests, the ceilings measured beside them, and what they were measured with."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from separable.analysis.markdown import escaped, markdown_table
from separable.analysis.text_table import text_table
from separable.benchmarking.chart import ChartGroup, ChartRow, chart
from separable.benchmarking.outcome import ContestResult, Entry, Spread

__all__ = ["FORMAT", "OURS", "Kind", "Report", "Table"]

Kind = Literal["ops", "train", "infer"]
OURS = ("ours", "cpu", "triton")
"""The peers that are this package."""
FORMAT = "separable bench 1"
"""What the file says it is; a change that old readers would misread gets another number."""
_MIB = 1 << 20
_MARK = "*"
"""Of the baseline, in tables."""


@dataclass(frozen=True)
class Table:
    """Contests that belong together: the first `words` columns hold words, the others numbers."""

    title: str
    header: list[str]
    rows: list[list[str]]
    notes: list[str]
    words: int


@dataclass(frozen=True)
class Report:
    """Everything one run found. One file holds it, and tables and plots are made from it.

    `ceilings` and `environment` are as `Ceilings.to_json` and `describe_environment` give them.
    """

    kind: Kind
    command: str
    date: str
    ceilings: dict[str, Any]
    environment: dict[str, Any]
    contests: tuple[ContestResult, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers."""
        contests = []
        for contest in self.contests:
            stored = contest.to_json()
            for row, entry in zip(stored["entries"], contest.entries, strict=True):
                share = self.share(entry)
                row["share_of_limit"] = None if share is None else share
            contests.append(stored)
        return {
            "format": FORMAT,
            "kind": self.kind,
            "command": self.command,
            "date": self.date,
            "environment": self.environment,
            "ceilings": self.ceilings,
            "contests": contests,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Report":
        """What `to_json` made."""
        words = {name: stored[name] for name in ("kind", "command", "date", "ceilings", "environment")}
        return cls(**words, contests=tuple(ContestResult.from_json(one) for one in stored["contests"]))

    def limit(self, entry: Entry) -> float:
        """Seconds of a step of which only multiply-adds and moved bytes are left, at the ceilings; NaN if unknown."""
        flops = self.ceilings["gemm_flops"].get(entry.precision, math.nan)
        return entry.work.limit(flops, self.ceilings["copy_bytes_per_second"])

    def share(self, entry: Entry) -> float | None:
        """Of the limit that the median step reaches; None where one of the two is not known."""
        spread, limit = entry.spread, self.limit(entry)
        return None if spread is None or math.isnan(limit) else limit / spread.median

    @property
    def disturbed(self) -> bool:
        """Whether a step multiplied faster than the ceiling, which was then measured in a bad moment."""
        rates = self.ceilings["gemm_flops"]
        timed = [(one, one.spread) for contest in self.contests for one in contest.entries if one.precision in rates]
        return any(spread and one.work.flops / spread.median > 1.05 * rates[one.precision] for one, spread in timed)

    def tables(self) -> list[Table]:
        """One for each contest; of operators, one for each shape and precision."""
        return [self._table(title, contests) for title, contests in self._together().items()]

    def _together(self) -> dict[str, list[ContestResult]]:
        found: dict[str, list[ContestResult]] = {}
        for contest in self.contests:
            subject = contest.entries[0].subject if contest.entries and self.kind == "ops" else ""
            found.setdefault(contest.title.removeprefix(f"{subject}, "), []).append(contest)
        return found

    def _table(self, title: str, contests: Sequence[ContestResult]) -> Table:
        operators = self.kind == "ops"
        header = ["contestant", "network", "precision", "images/s", "quartiles", "vs *", "of ceiling", "MiB", "error"]
        if operators:
            header = ["operator", "contestant", "ms", "quartiles", "vs *", "GB/s", "of copy", "GFLOP/s", "of product"]
            header.append("error")
        rows, notes = [], []
        for contest in contests:
            for entry in contest.entries:
                name = f"{entry.name} {_MARK}" if entry.name == contest.baseline else entry.name
                ratio = contest.ratio(entry)
                if operators:
                    rows.append([entry.subject, name, *self._operator_cells(entry, ratio), _error(entry)])
                else:
                    rows.append([name, *self._network_cells(entry, ratio), _error(entry)])
            notes += self._notes(contest)
        return Table(title, header, rows, notes, 2 if operators else 3)

    def _notes(self, contest: ContestResult) -> list[str]:
        """Who was not timed, or not to the end, and why; the settings of networks."""
        failed = [f"{entry.name}, {entry.subject}: {entry.failure}" for entry in contest.entries if entry.failure]
        rest = ["Interrupted: what had been measured by then."] if contest.interrupted else []
        settings = [f"{one.name}: {one.settings}" for one in contest.entries if one.settings and self.kind != "ops"]
        return [*failed, *rest, *settings]

    def conditions(self) -> list[str]:
        """What was measured on what: a sentence each."""
        flops = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in self.ceilings["gemm_flops"].items())
        copy = self.ceilings["copy_bytes_per_second"] / 1e9
        packages = {name: version for name, version in self.environment.get("packages", {}).items() if version}
        versions = ", ".join(f"{name} {packages[name]}" for name in ("separable", "torch", "numpy") if name in packages)
        disturbed = ["Something else used this machine: steps were faster than the ceilings measured beside them."]
        return [
            *(disturbed if self.disturbed else []),
            f"{self.ceilings['processor']}, {self.ceilings['threads']} threads; measured in the same run: products at "
            f"{flops} GFLOP/s, copies at {copy:.1f} GB/s read and written.",
            f"{self.date}, {versions}. Medians; quartiles in brackets; {_MARK} is what ratios are against, step by "
            "step of the same round. Errors are relative to fp64, plain torch's in brackets.",
            f"Command: {self.command}",
        ]

    def to_text(self) -> str:
        """Tables of fixed-width columns."""
        parts = []
        for table in self.tables():
            parts.append("\n".join([table.title, text_table([table.header, *table.rows], table.words, totals=False)]))
            parts += ["\n".join(table.notes)] if table.notes else []
        return "\n\n".join([*parts, "\n".join(self.conditions())])

    def to_markdown(self) -> str:
        """The same as tables of GitHub's Markdown."""
        parts = [f"# separable bench {self.kind}, {self.date}"]
        for table in self.tables():
            parts += [f"## {table.title}", markdown_table(table.header, table.rows, table.words)]
            parts += ["\n".join(f"- {escaped(note)}" for note in table.notes)] if table.notes else []
        return "\n\n".join([*parts, "\n".join(f"- {escaped(line)}" for line in self.conditions())]) + "\n"

    def to_svg(self) -> str:
        """Bars: images a second beside the ceiling's, or for operators the share of what the machine can do."""
        what = "Share of this machine's limit" if self.kind == "ops" else "Images a second; the line is the ceiling"
        heading = f"{what}. {self.ceilings['processor']}, {self.date}"
        return chart(heading, [self._group(title, contests) for title, contests in self._together().items()])

    def _group(self, title: str, contests: Sequence[ContestResult]) -> ChartGroup:
        return ChartGroup(title, tuple(self._bar(contest, entry) for contest in contests for entry in contest.entries))

    def _bar(self, contest: ContestResult, entry: Entry) -> ChartRow:
        label = f"{entry.subject}, {entry.name}" if self.kind == "ops" else entry.name
        spread, limit, ratio = entry.spread, self.limit(entry), contest.ratio(entry)
        ours = entry.peer in OURS
        if spread is None:
            return ChartRow(label, math.nan, None, math.nan, entry.failure or "not timed")
        work = limit if self.kind == "ops" else float(entry.work.pictures)
        top = math.nan if math.isnan(limit) else work / limit
        value, interval = work / spread.median, (work / spread.high, work / spread.low)
        said = f"{100 * value:.0f} %" if self.kind == "ops" else _three(value)
        beside = "" if ratio is None else f"{ratio.median:.2f}x"
        return ChartRow(label, value, interval, top, said, beside, entry.failure, ours)

    def _network_cells(self, entry: Entry, ratio: Spread | None) -> Sequence[str]:
        spread, share = entry.spread, self.share(entry)
        who = (entry.subject, entry.precision)
        if spread is None:
            return (*who, "not timed", "", "", "", "")
        pictures = entry.work.pictures
        return (
            *who,
            _three(pictures / spread.median),
            f"[{_three(pictures / spread.high)}, {_three(pictures / spread.low)}]",
            _ratio(ratio),
            "" if share is None else f"{100 * share:.0f} %",
            f"{entry.memory / _MIB:,.0f}" if entry.memory else "",
        )

    def _operator_cells(self, entry: Entry, ratio: Spread | None) -> Sequence[str]:
        spread = entry.spread
        if spread is None:
            return ("not timed", "", "", "", "", "", "")
        ms = [1000 * value for value in (spread.median, spread.low, spread.high)]
        moved, done = entry.work.bytes / spread.median, entry.work.flops / spread.median
        flops = self.ceilings["gemm_flops"].get(entry.precision)
        return (
            _three(ms[0]),
            f"[{_three(ms[1])}, {_three(ms[2])}]",
            _ratio(ratio),
            _three(moved / 1e9),
            f"{100 * moved / self.ceilings['copy_bytes_per_second']:.0f} %",
            _three(done / 1e9),
            f"{100 * done / flops:.0f} %" if flops else "",
        )


def _ratio(ratio: Spread | None) -> str:
    return "" if ratio is None else f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"


def _error(entry: Entry) -> str:
    verdict = entry.verdict
    if verdict is None or math.isnan(verdict.error):
        return ""
    return f"{verdict.error:.1e} ({verdict.yardstick:.1e})"


def _three(value: float) -> str:
    """Three digits that count, without an exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"
