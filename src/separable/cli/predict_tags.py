"""`separable predict` for networks that give pictures tags."""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from separable.cli.output import Output, counter
from separable.cli.predict_words import bar, counted, one_line
from separable.cli.tuning import runtime_of

if TYPE_CHECKING:
    from separable.machine.runtime import Settings
    from separable.runtime.tags import TagPrediction, TagPredictor

__all__ = ["TagWishes", "tag_pictures"]

_SHOWN = 12  # tags of a picture in a table
_ROWS = 50


@dataclass(frozen=True)
class TagWishes:
    """What was asked for; None where nobody said."""

    out: Path | None
    top: int | None
    threshold: float | None


def tag_pictures(
    predictor: "TagPredictor",
    paths: Iterator[str],
    wishes: TagWishes,
    output: Output,
    settings: "Settings",
    json: bool,
) -> Counter[str]:
    """Answer, print or write; how many pictures got tags, got none, and failed."""
    from separable.runtime.tags import write_tags

    counts: Counter[str] = Counter()
    stream = predictor.stream(paths, threshold=wishes.threshold, top=wishes.top)
    answers = counted(stream, _kind, counts, None if wishes.out is None else counter("pictures"))
    if wishes.out is not None:
        write_tags(wishes.out, answers)
        output.show(f"{wishes.out}: {_summary(counts)}")
        document = {"out": str(wishes.out), "pictures": counts.total(), "failed": counts["failed"]}
        output.document({**document, "runtime": runtime_of(settings, predictor.acceleration)})
    elif json:
        output.document([answer.to_json() for answer in answers])
    else:
        _print(output, answers)
        if sys.stdout.isatty() and wishes.top is None:
            least = predictor.threshold if wishes.threshold is None else wishes.threshold
            output.say(f"\nTags of {least:.2f} or more; --threshold and --top change that.")
    return counts


def _kind(answer: "TagPrediction") -> str:
    return "failed" if answer.error else "tagged" if answer.tags else "untagged"


def _summary(counts: Counter[str]) -> str:
    parts = [f"{counts['tagged']:,} pictures with tags"]
    parts += [f"{counts['untagged']:,} without any"] if counts["untagged"] else []
    parts += [f"{counts['failed']:,} could not be read (their rows say why)"] if counts["failed"] else []
    return ", ".join(parts)


def _print(output: Output, answers: "Iterator[TagPrediction]") -> None:
    """A table on a terminal, elsewhere a line a picture: its path, then tag and probability in turn, with tabs."""
    if not sys.stdout.isatty():
        for answer in answers:
            output.say("\t".join(one_line(cell) for cell in (answer.source, *_cells(answer))))
        return
    while rows := list(islice(answers, _ROWS)):  # a screenful at a time: a table needs its widest cell first
        output.table(("picture", "tag", "probability"), [(one_line(row.source), *_shown(row)) for row in rows])


def _cells(answer: "TagPrediction") -> list[str]:
    if answer.error is not None:
        return [f"error: {answer.error}"]
    pairs = zip(answer.tags, answer.probabilities, strict=True)
    return [cell for name, value in pairs for cell in (name, f"{value:.4f}")]


def _shown(answer: "TagPrediction") -> tuple[str, str]:
    """The same for a table's two columns, one line a tag."""
    if answer.error is not None:
        return f"error: {answer.error}", ""
    if not answer.tags:
        return "none is probable enough", ""
    names = list(answer.tags[:_SHOWN])
    values = [f"{bar(value)} {100 * value:5.1f} %" for value in answer.probabilities[:_SHOWN]]
    if len(answer.tags) > _SHOWN:
        names.append(f"and {len(answer.tags) - _SHOWN} more")
    return "\n".join(names), "\n".join(values)
