"""What a check says, to people and to machines."""

import csv
import json
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from separable.data.check_problems import ClassCount, Finding, Problem, Severity, Survey, counted, percent
from separable.files import make_directory, write_atomically, write_text_atomically

__all__ = ["CheckReport"]

_ORDER: tuple[Severity, ...] = ("error", "warning", "note")
_EXAMPLES = 20  # of each kind in check.json; check.csv has all
_SHOWN = 3  # of each kind in the text
_CLASSES_SHOWN = 20


@dataclass(frozen=True)
class CheckReport:
    """The findings of `check_folder`, worst first."""

    root: Path
    survey: Survey
    found: tuple[Problem, ...]
    remarks: tuple[str, ...] = ()
    """What reading the folder had to say."""
    given: tuple[ClassCount, ...] = ()
    """What there is of each class, where pictures have masks or any number of classes."""
    told: tuple[str, ...] = ()
    """Those of `remarks` that a problem tells as well: they are said once."""
    unusable: tuple[int, int] | None = None
    """Pictures for training and validation that cannot be used; by default those that cannot be read."""

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        """Errors, then warnings."""
        ordered = sorted(self.found, key=lambda one: _ORDER.index(one.severity))
        return tuple(one for one in ordered if one.severity != "note")

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What is good to know, a sentence or two each."""
        return (*self._remarks, *(f"{one.what} {one.fix}" for one in self._said))

    @cached_property
    def classes(self) -> tuple[ClassCount, ...]:
        """What there is of each class."""
        counts = (self.survey.counts(held_out=held_out).tolist() for held_out in (False, True))
        return self.given or tuple(map(ClassCount, self.survey.class_names, *counts))

    @property
    def _remarks(self) -> tuple[str, ...]:
        return tuple(remark for remark in self.remarks if remark not in self.told)

    @cached_property
    def _said(self) -> tuple[Problem, ...]:
        return tuple(one for one in self.found if one.severity == "note")

    @property
    def misleading(self) -> bool:
        """Whether training on these pictures, or believing its figures, would mislead: any error."""
        return any(one.severity == "error" for one in self.found)

    def to_json(self) -> dict[str, Any]:
        """`check.json`. `problems` and `notes` are sentences; `groups` has every kind with its first findings."""
        survey = self.survey
        groups = [
            {
                **{key: getattr(one, key) for key in ("kind", "severity", "what", "fix")},
                "count": len(one.findings),
                "examples": [asdict(finding) for finding in one.findings[:_EXAMPLES]],
            }
            for one in (*self.problems, *self._said)
        ]
        return {
            "format_version": 1,
            "root": str(self.root),
            "misleading": self.misleading,
            "problems": [f"{one.what} {one.fix}" for one in self.problems],
            "notes": list(self.notes),
            "groups": groups,
            "pictures": {"train": int((~survey.held_out).sum()), "val": int(survey.held_out.sum())},
            "unreadable": int((~survey.readable).sum()),
            "classes": [
                {key: value for key, value in asdict(one).items() if value is not None} for one in self.classes
            ],
            "sides": self._sides(),
            "formats": dict(Counter(one.format for one in survey.facts if one.cause is None).most_common()),
            "traits": dict(survey.traits().most_common()),
            "limits": asdict(self.survey.limits),
        }

    def to_text(self) -> str:
        """For people: the verdict last, where the eye of somebody at a terminal is."""
        return "\n".join([*self._summary(), "", *self._problem_lines(), *self._verdict()])

    def write(self, folder: Path) -> None:
        """Write `check.json` and `check.csv` (severity, kind, path, other, detail: one line a finding) into `folder`.

        Raises:
            OutputError: the folder cannot be written.
        """
        make_directory(folder)
        text = json.dumps(self.to_json(), indent=1)
        write_text_atomically(folder / "check.json", text + "\n")
        write_atomically(folder / "check.csv", self._write_csv)

    def _write_csv(self, path: Path) -> None:
        # Linux lets a file name hold any bytes; surrogates carry those that are no UTF-8 through Python.
        with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as handle:
            lines = csv.writer(handle)
            lines.writerow(["severity", "kind", "path", "other", "detail"])
            for one in (*self.problems, *self._said):
                for finding in one.findings:
                    lines.writerow([one.severity, one.kind, finding.path, finding.other, finding.detail])
                if not one.findings:
                    lines.writerow([one.severity, one.kind, "", "", one.what])

    def _sides(self) -> dict[str, Any]:
        facts = [one for one in self.survey.facts if one.cause is None]
        if not facts:
            return {}
        short = [min(one.height, one.width) for one in facts]
        sizes = Counter(f"{one.width}x{one.height}" for one in facts)
        return {
            "shorter_least": min(short),
            "shorter_median": int(statistics.median(short)),
            "shorter_greatest": max(short),
            "sizes": len(sizes),
            "commonest": sizes.most_common(1)[0][0],
            "commonest_count": sizes.most_common(1)[0][1],
            "bytes": sum(one.size for one in facts),
        }

    def _summary(self) -> Iterator[str]:
        survey, sides = self.survey, self._sides()
        held = int(survey.held_out.sum())
        lost = self.unusable or tuple(
            int((~survey.readable & (survey.held_out == part)).sum()) for part in (False, True)
        )
        without = [f" (of which {count:,} cannot be used)" if count else "" for count in lost]
        train, classes = counted(len(survey.facts) - held, "picture"), counted(len(self.classes), "class", "classes")
        yield f"{self.root}: {train} to train on{without[0]}, {held:,} to validate on{without[1]}, {classes}."
        yield ""
        yield from self._table()
        if sides:
            yield ""
            one_size = f"Every picture is {sides['commonest']} pixels. {sides['bytes'] / 1e6:,.1f} MB."
            yield (
                one_size
                if sides["sizes"] == 1
                else (
                    f"Shorter side {sides['shorter_least']} to {sides['shorter_greatest']} pixels, half of them up to "
                    f"{sides['shorter_median']}; commonest size {sides['commonest']} ({sides['commonest_count']:,}). "
                    f"{sides['bytes'] / 1e6:,.1f} MB."
                )
            )
            formats = Counter(one.format for one in survey.facts if one.cause is None)
            yield "Formats: " + ", ".join(f"{name} {count:,}" for name, count in formats.most_common()) + "."
            whole = [trait for trait, count in survey.traits().items() if count == int(survey.readable.sum())]
            if whole:
                yield f"All of them: {', '.join(sorted(whole))}."

    def _table(self) -> Iterator[str]:
        order = sorted(self.classes, key=lambda one: (-(one.pixels or 0), -one.train, one.name))
        shown = order if len(order) <= _CLASSES_SHOWN else order[: _CLASSES_SHOWN // 2] + order[-_CLASSES_SHOWN // 2 :]
        width = max([5, *(len(_printable(one.name)) for one in shown)])
        total = sum(one.pixels or 0 for one in order)
        has_pixels = any(one.pixels is not None for one in order)
        yield f"{'class':<{width}}  {'train':>8}  {'val':>8}" + ("  of the pixels" if has_pixels else "")
        for place, one in enumerate(shown):
            if len(shown) < len(order) and place == len(shown) // 2:
                yield f"{'...':<{width}}  ({len(order) - len(shown)} more)"
            share = f"  {percent((one.pixels or 0) / max(1, total)):>13}" if has_pixels else ""
            yield f"{_printable(one.name):<{width}}  {one.train:>8,}  {one.val:>8,}{share}"

    def _problem_lines(self) -> Iterator[str]:
        for one in self.problems:
            yield f"{one.severity.upper()}  {one.what}"
            for finding in one.findings[:_SHOWN]:
                yield f"    {_line(finding)}"
            if len(one.findings) > _SHOWN:
                yield f"    and {len(one.findings) - _SHOWN:,} more"
            yield f"    -> {one.fix}"
            yield ""
        for remark in self._remarks:
            yield f"note  {_printable(remark)}"
        for one in self._said:
            yield f"note  {one.what} {one.fix}"
            if one.findings:
                more = f", and {len(one.findings) - 1:,} more" if len(one.findings) > 1 else ""
                yield f"      {_line(one.findings[0])}{more}"
        if self.notes:
            yield ""

    def _verdict(self) -> Iterator[str]:
        errors = [one for one in self.problems if one.severity == "error"]
        if errors:
            yield f"Training on these pictures would mislead: {', '.join(one.kind for one in errors)}."
        elif self.problems:
            yield f"Nothing here misleads a training; {counted(len(self.problems), 'warning')} above."
        else:
            yield "Nothing here misleads a training."


def _line(finding: Finding) -> str:
    about = f" = {finding.other}" if finding.other else ""
    detail = f" ({finding.detail})" if finding.detail else ""
    return _printable(f"{finding.path}{about}{detail}")


def _printable(text: str) -> str:
    """File names may hold bytes that no terminal shows, and control characters that one obeys."""
    shown = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in shown)
