"""From the files of a segmentation's evaluation to typed records; what is damaged is left out and named."""

import json
from collections.abc import Mapping
from typing import Any

from separable.errors import SeparableError
from separable.models.contract import InputContract
from separable.segmentation.palette import class_colours, distinct_colours, parse_colour
from separable.segmentation.report.record import MaskScores, Measured, Overlap, PictureRow
from separable.training.report.parsing import (
    parse_confusion,
    parse_count,
    parse_mapping,
    parse_number,
    parse_share,
    parse_text,
    parse_unreadable,
)
from separable.training.report.reading import RunReader

__all__ = ["read_measured"]

Fields = Mapping[str, Any]


def read_measured(reader: RunReader) -> Measured:
    """The evaluation, the pictures one by one, and the input contract of the model."""
    return Measured(
        evaluation=reader.parse("evaluation.json", lambda text: _evaluation(json.loads(text))),
        pictures=reader.each("pictures.csv", _picture, reader.rows("pictures.csv") or []),
        contract=reader.parse("model/config.json", lambda text: _contract(json.loads(text))),
    )


def _evaluation(value: object) -> MaskScores:
    fields = parse_mapping(value)
    names = [str(name) for name in fields["class_names"]]
    per_class = [_overlap(row) for row in fields.get("per_class") or []]
    if per_class and [one.name for one in per_class] != names:
        raise ValueError("the scores are of other classes than the names")
    stored = _colours(fields.get("colours"), len(names))
    colours = distinct_colours(stored)
    shares = ("miou", "mean_dice", "pixel_accuracy", "boundary_f1")
    return MaskScores(
        set_name=str(fields.get("set", "val")),
        n=parse_count(fields["n"]),
        loss=parse_number(fields.get("loss")),
        boundary_tolerance=parse_number(fields.get("boundary_tolerance")),
        class_names=names,
        colours=colours,
        per_class=per_class,
        confusion=parse_confusion(fields, len(names)),
        bad=parse_unreadable(fields),
        size=_size(fields.get("input")),
        recoloured=colours != stored,
        **{name: parse_share(fields.get(name)) for name in shares},
    )


def _size(stored: object) -> tuple[int, int] | None:
    if isinstance(stored, list) and len(stored) == 2 and all(isinstance(side, int) and side > 0 for side in stored):
        return stored[0], stored[1]
    return None


def _overlap(row: Fields) -> Overlap:
    iou, dice, precision, recall = (parse_share(row.get(name)) for name in ("iou", "dice", "precision", "recall"))
    return Overlap(
        str(row["name"]), iou, dice, precision, recall, parse_share(row.get("boundary_f1")), parse_count(row["pixels"])
    )


def _colours(stored: object, classes: int) -> tuple[tuple[int, int, int], ...]:
    """One for every class; the default ones where the file has none, or others than it can have."""
    if not isinstance(stored, list) or len(stored) != classes:
        return class_colours(classes)
    try:
        return tuple(parse_colour(colour) for colour in stored)
    except SeparableError:
        return class_colours(classes)


def _picture(row: Mapping[str, str]) -> PictureRow:
    accuracy, miou = (parse_share(row.get(key)) for key in ("pixel_accuracy", "miou"))
    return PictureRow(
        parse_text(row, "path"), accuracy, miou, str(row.get("predicted") or ""), str(row.get("truth") or "")
    )


def _contract(value: object) -> InputContract:
    try:
        return InputContract.from_json(parse_mapping(parse_mapping(value)["input"]))
    except SeparableError as error:
        raise ValueError(str(error)) from error
