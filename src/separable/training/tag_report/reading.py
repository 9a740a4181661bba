"""From the files of the evaluation to typed records; what is damaged is left out and named."""

import json
import math
from collections.abc import Mapping
from typing import Any

from separable.data.manifest_rows import split_labels
from separable.training.report.parsing import (
    parse_count,
    parse_mapping,
    parse_number,
    parse_share,
    parse_text,
    parse_unreadable,
)
from separable.training.report.reading import RunReader
from separable.training.tag_report.record import ClassPrecision, Decision, TagMeasured, TagRow, TagScores

__all__ = ["read_measured"]

Fields = Mapping[str, Any]


def read_measured(reader: RunReader) -> TagMeasured:
    """The evaluation, and the pictures one by one."""
    return TagMeasured(
        evaluation=reader.parse("evaluation.json", lambda text: _evaluation(json.loads(text))),
        pictures=reader.each("predictions.csv", _picture, reader.rows("predictions.csv") or []),
    )


def _evaluation(value: object) -> TagScores:
    fields = parse_mapping(value)
    return TagScores(
        n=parse_count(fields["n"]),
        tags=parse_count(fields.get("tags", 0)),
        loss=parse_number(fields.get("loss")),
        class_names=[str(name) for name in fields["class_names"]],
        per_class=[_class(row) for row in fields.get("per_class") or []],
        decision=_decision(fields.get("decision")),
        bad=parse_unreadable(fields),
        **{name: parse_share(fields.get(name)) for name in ("map100", "weighted_map100", "precision1")},
    )


def _class(row: Fields) -> ClassPrecision:
    return ClassPrecision(str(row["name"]), parse_count(row["support"]), parse_share(row.get("average_precision")))


def _decision(value: object) -> Decision | None:
    if value is None:
        return None
    fields = parse_mapping(value)
    found = Decision(*(parse_share(fields.get(name)) for name in ("threshold", "precision", "recall", "f1")))
    return found if math.isfinite(found.threshold) else None


def _picture(row: Mapping[str, str]) -> TagRow:
    predicted = split_labels(parse_text(row, "predicted"))
    confidence = [parse_share(one) for one in parse_text(row, "confidence").split(";") if one.strip()]
    return TagRow(
        path=parse_text(row, "path"),
        labels=tuple(split_labels(parse_text(row, "labels"))),
        predicted=tuple(zip(predicted, confidence, strict=True)),
        average_precision=parse_share(row.get("average_precision") or None),
    )
