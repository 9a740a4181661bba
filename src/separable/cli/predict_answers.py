"""`separable predict` for networks that classify pictures."""

import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from separable.cli.output import Output, counter
from separable.cli.predict_words import bar, counted, one_line
from separable.cli.tuning import runtime_of
from separable.errors import UsageError

if TYPE_CHECKING:
    from separable.machine.runtime import Settings
    from separable.runtime.prediction import Prediction
    from separable.runtime.predictor import Predictor

__all__ = ["answer_pictures", "no_threshold"]

_UNSURE = "I do not know"


def answer_pictures(
    predictor: "Predictor",
    paths: Iterator[str],
    output: Output,
    settings: "Settings",
    *,
    out: Path | None,
    top: int,
    reject: bool,
    json: bool,
) -> Counter[str]:
    """Answer, print or write; how many pictures were answered, rejected and failed."""
    from separable.runtime.prediction import write_predictions

    counts: Counter[str] = Counter()
    progress = None if out is None else counter("pictures")
    answers = counted(predictor.stream(paths, top), _kind, counts, progress)
    if out is not None:
        write_predictions(out, answers, top, reject)
        output.show(f"{out}: {_summary(counts, reject)}")
        document = {"out": str(out), "pictures": counts.total(), "failed": counts["failed"]}
        output.document({**document, "runtime": runtime_of(settings, predictor.acceleration)})
    elif json:
        output.document([answer.to_json(reject) for answer in answers])
    else:
        _print(output, answers, predictor, reject)
    return counts


def _kind(answer: "Prediction") -> str:
    return "failed" if answer.error else "rejected" if answer.rejected else "answered"


def _print(output: Output, answers: "Iterator[Prediction]", predictor: "Predictor", reject: bool) -> None:
    if not sys.stdout.isatty():
        for answer in answers:
            output.say("\t".join(one_line(cell) for cell in (answer.source, *_cells(answer, reject))))
        return
    # A table needs its widest cell first, so a long stream is shown a screenful of rows at a time.
    while rows := list(islice(answers, 200)):
        output.table(
            ("picture", "answer", "confidence"), [(one_line(row.source), *_shown(row, reject)) for row in rows]
        )
    if reject:
        output.say(
            f"\n{_UNSURE}: the confidence is below {predictor.reject_threshold:.2f}, where answers are too often wrong."
        )


def _cells(answer: "Prediction", reject: bool) -> list[str]:
    """Answer and confidence, for each of the top classes; or the cause of a failure."""
    if answer.error is not None:
        return [f"error: {answer.error}"]
    pairs = list(zip(answer.classes, answer.probabilities, strict=True))
    cells = [cell for name, value in pairs for cell in (name, f"{value:.4f}")]
    return [_UNSURE, *cells] if reject and answer.rejected else cells


def _shown(answer: "Prediction", reject: bool) -> tuple[str, str]:
    """The same for a table's two columns, one line a class."""
    if answer.error is not None:
        return f"error: {answer.error}", ""
    values = [f"{bar(value)} {100 * value:5.1f} %" for value in answer.probabilities]
    names = list(answer.classes)
    if reject and answer.rejected:
        names[0] = f"{_UNSURE} ({names[0]}?)"
    return "\n".join(names), "\n".join(values)


def _summary(counts: Counter[str], reject: bool) -> str:
    unsure = counts["rejected"] if reject else 0
    parts = [f"{counts.total() - counts['failed'] - unsure:,} pictures answered"]
    parts += [f"{unsure:,} not known"] if unsure else []
    parts += [f"{counts['failed']:,} could not be read (their rows say why)"] if counts["failed"] else []
    return ", ".join(parts)


def no_threshold(model: str) -> UsageError:
    """--reject for a run without what it needs."""
    return UsageError(
        f"{model} has no calibrated confidence, so --reject cannot tell what it does not know",
        expected="a run whose evaluation found a threshold at which enough answers are right",
        fix=f"See `separable evaluate {model}`, or leave --reject out",
    )
