"""From the fields of a file to typed records: an impossible value raises ValueError, a missing number is NaN."""

import math
from collections.abc import Mapping
from typing import Any

from separable.training.report.record import (
    Calibration,
    Check,
    CheckGroup,
    ClassScore,
    Epoch,
    Evaluation,
    Predicted,
    Quarantined,
    Step,
    Suspected,
)

__all__ = [
    "parse_check",
    "parse_confusion",
    "parse_count",
    "parse_epoch",
    "parse_evaluation",
    "parse_mapping",
    "parse_number",
    "parse_predicted",
    "parse_quarantined",
    "parse_share",
    "parse_step",
    "parse_suspected",
    "parse_text",
    "parse_unreadable",
]

Fields = Mapping[str, Any]


def parse_mapping(value: object) -> Fields:
    if not isinstance(value, dict):
        raise ValueError(f"a {type(value).__name__} where a mapping was expected")
    return value


def parse_step(line: Fields) -> Step:
    timing = line.get("timing")
    speed = timing.get("images_per_second") if isinstance(timing, dict) else None
    return Step(
        parse_count(line["step"]),
        parse_number(line.get("loss")),
        parse_number(line.get("learning_rate")),
        parse_number(speed),
    )


def parse_epoch(line: Fields) -> Epoch:
    epoch, step = parse_count(line["epoch"]), parse_count(line["step"])
    if step < 1:
        raise ValueError("an epoch without a step")
    train_loss, val_loss, seconds = (parse_number(line.get(name)) for name in ("train_loss", "val_loss", "seconds"))
    return Epoch(epoch, step, train_loss, val_loss, seconds, _scores(line))


def _scores(line: Fields) -> dict[str, float]:
    measured = {key: parse_number(value) for key, value in line.items() if key.startswith(("train_", "val_"))}
    return {key: value for key, value in measured.items() if 0 <= value <= 1 and not key.endswith("_loss")}


def parse_evaluation(value: object) -> Evaluation:
    fields = parse_mapping(value)
    names = [str(name) for name in fields["class_names"]]
    return Evaluation(
        set_name=str(fields.get("set", "val")),
        n=parse_count(fields["n"]),
        loss=parse_number(fields.get("loss")),
        top1=parse_share(fields.get("top1")),
        top5=parse_share(fields.get("top5")),
        class_names=names,
        per_class=[_class_score(row) for row in fields.get("per_class") or []],
        confusion=parse_confusion(fields, len(names)),
        calibration=_calibration(fields["calibration"]) if fields.get("calibration") else None,
        bad=parse_unreadable(fields),
    )


def parse_confusion(evaluation: Fields, classes: int) -> list[list[int]]:
    """The counts, a row for each true class; empty where there are none."""
    confusion = [[parse_count(count) for count in row] for row in evaluation.get("confusion") or []]
    if confusion and (len(confusion) != classes or any(len(row) != classes for row in confusion)):
        raise ValueError(f"the confusion matrix is not {classes} x {classes}")
    return confusion


def parse_unreadable(evaluation: Fields) -> list[tuple[str, str]]:
    """(path, cause) of the pictures that had no part in an evaluation."""
    return [(str(row.get("path", "")), str(row.get("cause", ""))) for row in evaluation.get("bad") or []]


def parse_predicted(row: Mapping[str, str]) -> Predicted:
    correct = parse_text(row, "correct").strip().lower() in ("1", "true", "yes")
    path, label, predicted = (parse_text(row, key) for key in ("path", "label", "predicted"))
    return Predicted(path, label, predicted, parse_share(row["confidence"]), correct)


def parse_suspected(row: Mapping[str, str]) -> Suspected:
    return Suspected(
        parse_text(row, "path"), parse_text(row, "label"), parse_text(row, "suggested"), parse_share(row["score"])
    )


def parse_quarantined(row: Mapping[str, str]) -> Quarantined:
    return Quarantined(parse_text(row, "path"), parse_text(row, "cause"))


def parse_check(value: object) -> Check:
    fields = parse_mapping(value)
    pictures = parse_mapping(fields.get("pictures") or {})
    return Check(
        root=str(fields.get("root") or ""),
        misleading=bool(fields.get("misleading")),
        train=parse_count(pictures.get("train", 0)),
        val=parse_count(pictures.get("val", 0)),
        groups=[_check_group(one) for one in fields.get("groups") or []],
        notes=[str(note) for note in fields.get("notes") or []],
        classes=[(str(c["name"]), parse_count(c["train"]), parse_count(c["val"])) for c in fields.get("classes") or []],
        areas=[(str(c["name"]), parse_count(c["pixels"])) for c in fields.get("classes") or [] if "pixels" in c],
        sides=parse_mapping(fields.get("sides") or {}),
        formats=parse_mapping(fields.get("formats") or {}),
    )


def _check_group(fields: Fields) -> CheckGroup:
    kind, severity, what, fix = (str(fields[key]) for key in ("kind", "severity", "what", "fix"))
    examples = [
        (str(one.get("path", "")), str(one.get("other") or ""), str(one.get("detail") or ""))
        for one in fields.get("examples") or []
    ]
    return CheckGroup(kind, severity, what, fix, parse_count(fields.get("count", 0)), examples)


def _class_score(row: Fields) -> ClassScore:
    precision, recall, f1 = (parse_share(row.get(name)) for name in ("precision", "recall", "f1"))
    return ClassScore(str(row["name"]), precision, recall, f1, parse_count(row["support"]))


def _calibration(fields: Fields) -> Calibration:
    errors = ("ece", "ece_before_temperature", "ece_after_temperature")
    shares = (*errors, "reject_threshold", "reject_target", "reject_coverage", "reject_accuracy")
    return Calibration(
        bins=[_bin(one) for one in fields.get("bins") or []],
        reject_reason=str(fields.get("reject_reason") or ""),
        temperature_reason=str(fields.get("temperature_reason") or ""),
        temperature=parse_number(fields.get("temperature")),
        **{name: parse_share(fields.get(name)) for name in shares},
    )


def _bin(fields: Fields) -> tuple[float, float, float, float, int]:
    low, high, confidence, accuracy = (
        parse_share(fields.get(key)) for key in ("low", "high", "confidence", "accuracy")
    )
    return low, high, confidence, accuracy, parse_count(fields["count"])


def parse_text(row: Mapping[str, str], key: str) -> str:
    if not isinstance(row[key], str):  # a row that is too short has None there
        raise ValueError(f"no {key}")
    return row[key]


def parse_number(value: object) -> float:
    """A float; NaN for what is missing, null or no number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    try:
        return float(value) if isinstance(value, str) else math.nan
    except ValueError:
        return math.nan


def parse_share(value: object) -> float:
    """A number from 0 to 1, or NaN."""
    number = parse_number(value)
    if number < -1e-6 or number > 1 + 1e-6:
        raise ValueError(f"{value} where a share was expected")
    return min(1.0, max(0.0, number)) if number == number else number


def parse_count(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value < 10**15:
        raise ValueError(f"{value!r} where a count was expected"[:80])
    return value
