"""Reading a run folder in whatever state it is; what is missing or damaged is left out and named."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from separable.analysis.page.wording import count_of
from separable.errors import RunFolderError
from separable.training.report.parsing import (
    parse_check,
    parse_epoch,
    parse_evaluation,
    parse_mapping,
    parse_predicted,
    parse_quarantined,
    parse_step,
    parse_suspected,
)
from separable.training.report.record import Answers, RunRecord

__all__ = ["RunReader", "read_answers", "read_record", "read_run"]

T = TypeVar("T")

_UNUSABLE = (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError, yaml.YAMLError)
"""What a parser meets in a damaged file."""


def read_run(run: Path) -> RunRecord:
    """What every run has, of a run folder, finished or not.

    Raises:
        RunFolderError: `run` is no folder, or nothing in it says that a training took place.
    """
    return read_record(RunReader(run))


def read_answers(reader: "RunReader") -> Answers:
    """What a classification leaves beside that."""
    return Answers(
        evaluation=reader.parse("evaluation.json", lambda text: parse_evaluation(json.loads(text))),
        predictions=reader.each("predictions.csv", parse_predicted, reader.rows("predictions.csv") or []),
        suspects=reader.optional("suspects.csv", parse_suspected),
    )


def read_record(reader: "RunReader") -> RunRecord:
    """What every run has; the complaints are those of everything that `reader` has read."""
    lines = list(reader.lines("metrics.jsonl"))
    return RunRecord(
        run=reader.run,
        config=reader.parse("config.yaml", lambda text: parse_mapping(yaml.safe_load(text))) or {},
        config_text=reader.parse("config.yaml", str) or "",
        steps=reader.each("metrics.jsonl", parse_step, (line for line in lines if line.get("kind") == "step")),
        epochs=reader.each("metrics.jsonl", parse_epoch, (line for line in lines if line.get("kind") == "epoch")),
        quarantine=reader.each("quarantine.csv", parse_quarantined, reader.rows("quarantine.csv") or []),
        check=reader.parse("check.json", lambda text: parse_check(json.loads(text))),
        profile=reader.parse("profile.json", lambda text: parse_mapping(json.loads(text))),
        environment=reader.parse("environment.json", lambda text: parse_mapping(json.loads(text))),
        complaints=tuple(reader.complaints),
    )


class RunReader:
    """Reads the files of a run's folder and collects what was wrong with them.

    Raises:
        RunFolderError: as `read_run`.
    """

    def __init__(self, run: Path) -> None:
        if not run.is_dir():
            raise RunFolderError(
                "There is no such run folder", got=run, fix="Name the folder that `separable train` made"
            )
        if not (run / "config.yaml").is_file() and not (run / "metrics.jsonl").is_file():
            raise RunFolderError(
                "This folder is not a run", got=run, expected="a folder with config.yaml and metrics.jsonl in it"
            )
        self.run = run
        self.complaints: list[str] = []

    def parse(self, name: str, make: Callable[[str], T]) -> T | None:
        text = self._text(name)
        if text is None:
            return None
        try:
            return make(text)
        except _UNUSABLE as error:
            self.complaints.append(f"{name} could not be used: {type(error).__name__}: {error}"[:300])
            return None

    def lines(self, name: str) -> Iterator[dict[str, Any]]:
        """The JSON objects of a file of lines; a process that was killed leaves half a line at its end."""
        broken = 0
        for line in (self._text(name) or "").splitlines():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                broken += 1
                continue
            if isinstance(value, dict):
                yield value
        if broken > 1:
            self.complaints.append(f"{name}: {count_of(broken, 'line')} could not be read")

    def rows(self, name: str) -> list[dict[str, str]] | None:
        text = self._text(name)
        if text is None:
            return None
        try:
            # Not `splitlines`, which also ends a row at U+2028 or a form feed in a file name.
            return list(csv.DictReader(io.StringIO(text, newline="")))
        except csv.Error as error:
            self.complaints.append(f"{name} could not be used: {error}")
            return []

    def each(self, name: str, make: Callable[[Any], T], rows: Iterator[Any] | Sequence[Any]) -> list[T]:
        made, broken = [], 0
        for row in rows:
            try:
                made.append(make(row))
            except _UNUSABLE:
                broken += 1
        if broken:
            self.complaints.append(f"{name}: {count_of(broken, 'row')} could not be used")
        return made

    def optional(self, name: str, make: Callable[[Any], T]) -> list[T] | None:
        """None where the file is missing, an empty list where it lists nothing: the report tells these apart."""
        rows = self.rows(name)
        return None if rows is None else self.each(name, make, rows)

    def _text(self, name: str) -> str | None:
        try:
            # File names need not be UTF-8; this brings their bytes through, so that the pictures can be opened.
            with open(self.run / name, encoding="utf-8", errors="surrogateescape", newline="") as handle:
                return handle.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            self.complaints.append(f"{name} could not be read: {error.strerror}")
            return None
