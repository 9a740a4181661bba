"""`separable predict`."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from separable.cli.options import Debug, Json
from separable.cli.output import Output, counter
from separable.cli.tuning import MANY, kernels_are_built, runtime_of
from separable.errors import SeparableError, UsageError

if TYPE_CHECKING:
    from separable.runtime.prediction import Prediction
    from separable.runtime.predictor import Predictor

EXAMPLES = """
separable predict runs/flowers rose.jpg holiday/
separable predict runs/flowers 'photos/**/*.jpg' --out answers.csv
find . -name '*.png' | separable predict runs/flowers - --out answers.jsonl
separable predict xception cat.jpg --top 3
"""
_UNSURE = "I do not know"
_BAR = 10  # characters of a full confidence bar


def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A run, a model folder or a catalogue name.")],
    pictures: Annotated[
        list[str],
        typer.Argument(metavar="PICTURES...", help="Files, folders, globs; - reads names from standard input."),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to .csv, .jsonl or .parquet instead.", show_default=False)
    ] = None,
    top: Annotated[int, typer.Option(metavar="N", help="Classes to give for each picture.")] = 1,
    reject: Annotated[
        bool, typer.Option("--reject", help="Answer 'I do not know' below the run's calibrated confidence.")
    ] = False,
    batch: Annotated[int, typer.Option(metavar="N", help="Pictures through the network at once.")] = 32,
    backend: Annotated[str, typer.Option(metavar="WHICH", help="What runs the network: auto or torch.")] = "auto",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Name what is on pictures.

    A picture that cannot be read is an answer too, with the cause; the exit code is 1 only when every one failed.
    On a terminal the answers are a table, elsewhere lines of path, answer and confidence, separated by tabs.
    """
    from separable.machine.runtime import tune_runtime

    settings = tune_runtime()  # before torch is imported
    from separable.runtime.prediction import check_ending, write_predictions
    from separable.runtime.predictor import load_predictor
    from separable.runtime.sources import expand

    with Output(json) as output:
        if out is not None:
            check_ending(out)
        predictor = load_predictor(model, backend, batch_size=batch, accelerate=_are_many(pictures))
        if reject and predictor.reject_threshold is None:
            raise _no_threshold(model)
        counts: Counter[str] = Counter()
        progress = None if out is None else counter("pictures")
        answers = _counted(predictor.stream(expand(pictures, sys.stdin), top), counts, progress)
        if out is not None:
            write_predictions(out, answers, top, reject)
            output.show(f"{out}: {_summary(counts, reject)}")
            document = {"out": str(out), "pictures": counts.total(), "failed": counts["failed"]}
            output.document({**document, "runtime": runtime_of(settings, predictor.acceleration)})
        elif json:
            output.document([answer.to_json(reject) for answer in answers])
        else:
            _print(output, answers, predictor, reject)
    if counts["failed"] == counts.total():
        raise typer.Exit(1)


def _are_many(pictures: list[str]) -> bool:
    """Whether they are so many that timing the CPU kernels pays, and the kernels are there: nothing is built for it.

    A folder or a pattern may be long: no more names are looked at than are needed.
    """
    from separable.runtime.sources import expand

    if "-" in pictures:  # names come when they come, and are answered as they do
        return False
    with suppress(SeparableError):  # said when the pictures' turn comes
        return sum(1 for _ in islice(expand(pictures, ()), MANY)) == MANY and kernels_are_built()
    return False


def _counted(
    answers: "Iterator[Prediction]", counts: Counter[str], progress: Callable[[int, int | None], None] | None
) -> "Iterator[Prediction]":
    for answer in answers:
        counts["failed" if answer.error else "rejected" if answer.rejected else "answered"] += 1
        if progress is not None:
            progress(counts.total(), None)
        yield answer
    if progress is not None:
        progress(0, 0)  # takes the line away


def _print(output: Output, answers: "Iterator[Prediction]", predictor: "Predictor", reject: bool) -> None:
    if not sys.stdout.isatty():
        for answer in answers:
            output.say("\t".join(_one_line(cell) for cell in (answer.source, *_cells(answer, reject))))
        return
    # A table needs its widest cell first, so a long stream is shown a screenful of rows at a time.
    while rows := list(islice(answers, 200)):
        output.table(
            ("picture", "answer", "confidence"), [(_one_line(row.source), *_shown(row, reject)) for row in rows]
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
    values = [f"{_bar(value)} {100 * value:5.1f} %" for value in answer.probabilities]
    names = list(answer.classes)
    if reject and answer.rejected:
        names[0] = f"{_UNSURE} ({names[0]}?)"
    return "\n".join(names), "\n".join(values)


def _one_line(text: str) -> str:
    """File names may hold line breaks and tabs, which would look like another answer."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def _bar(share: float) -> str:
    blocks = "█░" if (sys.stdout.encoding or "").lower().startswith("utf") else "#."
    full = round(share * _BAR)
    return blocks[0] * full + blocks[1] * (_BAR - full)


def _summary(counts: Counter[str], reject: bool) -> str:
    unsure = counts["rejected"] if reject else 0
    parts = [f"{counts.total() - counts['failed'] - unsure:,} pictures answered"]
    parts += [f"{unsure:,} not known"] if unsure else []
    parts += [f"{counts['failed']:,} could not be read (their rows say why)"] if counts["failed"] else []
    return ", ".join(parts)


def _no_threshold(model: str) -> UsageError:
    return UsageError(
        f"{model} has no calibrated confidence, so --reject cannot tell what it does not know",
        expected="a run whose evaluation found a threshold at which enough answers are right",
        fix=f"See `separable evaluate {model}`, or leave --reject out",
    )
