"""What `separable bench` shows while it measures, and its tables on a terminal."""

import shutil
import sys
from typing import TYPE_CHECKING

from separable.cli.output import Output, human_seconds

if TYPE_CHECKING:
    from separable.benchmarking.gate import Verdict
    from separable.benchmarking.report import Report

__all__ = ["Display", "show"]


class Display:
    """A `Listener`: lines for what is decided, and on a terminal one that is written over for what is going on.

    Not a subclass, so that --help need not import numpy.
    """

    def __init__(self, out: Output, contestants: int) -> None:
        self._out, self._contestants, self._opened = out, contestants, 0
        self._title = ""

    def contest(self, number: int, contests: int, title: str) -> None:
        """The next of several contests; their single events are not worth a line."""
        self._title = f"{number} of {contests}: {title}"
        self._rewrite(self._title)
        if not sys.stderr.isatty():
            self._out.say(self._title)

    def opening(self, name: str) -> None:
        """See `Listener`."""
        self._opened += 1
        if self._contestants:
            self._line(f"{name} ({self._opened} of {self._contestants}): starting, and its answer against fp64")

    def judged(self, name: str, verdict: "Verdict") -> None:
        """See `Listener`."""
        if verdict.passed and self._contestants:
            self._line(f"  right: {verdict.error:.1e} from fp64, torch itself {verdict.yardstick:.1e}")

    def failed(self, name: str, reason: str) -> None:
        """See `Listener`."""
        self._line(f"  {name} takes no further part: {reason}")

    def step(self, name: str, done: int, rounds: int, seconds: float) -> None:
        """See `Listener`."""
        if not self._title:
            self._rewrite(f"round {done} of at most {rounds}: {name} {human_seconds(seconds)}")

    def close(self) -> None:
        """Leave no half line."""
        self._rewrite("")

    def _line(self, text: str) -> None:
        self._rewrite("")
        self._out.say(text)

    def _rewrite(self, text: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{text[: shutil.get_terminal_size().columns - 1]}")
            sys.stderr.flush()


def show(out: Output, report: "Report") -> None:
    """Tables that fit the terminal, plain text elsewhere."""
    if not sys.stdout.isatty():
        out.show(report.to_text())
        return
    for table in report.tables():
        out.show(f"\n{table.title}")
        columns = range(len(table.header))
        out.table(table.header, table.rows, right=columns[table.words :], whole=columns)
        for note in table.notes:
            out.show(note)
    out.show()
    for line in report.conditions():
        out.show(line)
