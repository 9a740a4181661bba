"""What single pictures are like: unreadable, empty, tiny, huge, stretched, or of an unusual kind."""

from collections.abc import Iterator, Sequence
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from separable.data.check_problems import Finding, Problem, Severity, Survey, counted, percent

__all__ = ["picture_problems"]

_SMALL_SET = 64  # median shorter side from which a tiny picture stands out
_ENDINGS = {
    "JPEG": {"jpg", "jpeg", "jpe", "jfif"},
    "MPO": {"jpg", "jpeg", "jpe", "jfif", "mpo"},
    "PNG": {"png"},
    "GIF": {"gif"},
    "BMP": {"bmp", "dib"},
    "TIFF": {"tif", "tiff"},
    "WEBP": {"webp"},
    "PPM": {"ppm", "pgm", "pbm", "pnm"},
}
_TRAITS = {
    "CMYK": "Converted to RGB without a colour profile: have a look whether the colours are right.",
    "16-bit": "Their high byte is used.",
    "32-bit": "Scaled to 8 bit, each by its own range: convert them yourself if brightness means something.",
    "alpha": "Transparent parts become white: if they should become something else, flatten them yourself.",
    "palette": "Looked up in their palette, as any viewer does.",
    "grey": "They become RGB with three equal channels; the others have colours, which a network will notice.",
    "animated": "Their first frame is used.",
    "turned by EXIF": "Turned upright here; a program that ignores EXIF sees them lying or upside down.",
}


def picture_problems(survey: Survey) -> Iterator[Problem]:
    """Problems of single pictures, worst first."""
    yield from _unreadable(survey)
    yield from _empty(survey)
    yield from _sizes(survey)
    yield from _traits(survey)
    yield from _misnamed(survey)


def _unreadable(survey: Survey) -> Iterator[Problem]:
    bad = _where(~survey.readable)
    if not bad:
        return
    share = len(bad) / len(survey.facts)
    classes = np.bincount(survey.labels, minlength=len(survey.class_names))
    lost = np.bincount(survey.labels[bad], minlength=len(survey.class_names)) / np.maximum(classes, 1)
    worst, limit = int(lost.argmax()), survey.limits.unreadable_share
    what = f"{counted(len(bad), 'picture')} of {len(survey.facts):,} cannot be read ({percent(share)})."
    fix = "Repair or delete them; a training leaves them out and lists them in quarantine.csv."
    severity: Severity = "warning"
    if share > limit or (lost[worst] > 4 * limit and classes[worst] > 1):
        severity = "error"
        if share <= limit:
            what += f" In class {survey.class_names[worst]} it is {percent(lost[worst])}."
        fix = "Copy or download the data again: so many are a broken copy more often than bad luck."
    yield Problem("unreadable", severity, what, fix, _lines(survey, bad, [survey.facts[i].cause or "" for i in bad]))


def _empty(survey: Survey) -> Iterator[Problem]:
    flat = _where(np.array([one.flat for one in survey.facts]))
    if flat:
        yield Problem(
            "constant",
            "warning",
            f"{counted(len(flat), 'picture shows', 'pictures show')} nothing: one colour all over.",
            "Delete them, or see what went wrong where they were made.",
            _lines(survey, flat),
        )


def _sizes(survey: Survey) -> Iterator[Problem]:
    limits, sides, good = survey.limits, survey.sides, survey.readable
    if not good.any():
        return
    short, long = sides.min(axis=1), sides.max(axis=1)
    typical = int(np.median(short[good]))
    tiny = _where(good & (short < limits.tiny_side))
    if typical >= _SMALL_SET and tiny:
        yield Problem(
            "tiny",
            "warning",
            f"{counted(len(tiny), 'picture is', 'pictures are')} under {limits.tiny_side} pixels on a side, where half "
            f"of all have {typical} or more: enlarged, they are a blur.",
            "Find the originals, or delete these previews.",
            _lines(survey, tiny),
        )
    elif typical < _SMALL_SET:
        yield Problem(
            "small-pictures",
            "note",
            f"The pictures are small: half of them have {typical} pixels or fewer on their shorter side.",
            "Train at a small input size; near copies are told only if nearly perfect.",
        )
    for kind, chosen, words, fix in (
        ("huge", sides.prod(axis=1) > limits.huge_pixels, f"more than {limits.huge_pixels // 10**6} megapixels",
         "Shrink them once, and every epoch reads faster."),
        ("stretched", long > limits.aspect * np.maximum(short, 1), f"sides in a ratio above {limits.aspect:g} to 1",
         "Have a look: a centre crop shows only the middle of them, squashing distorts them."),
    ):  # fmt: skip
        found = _where(good & chosen)
        if found:
            has = counted(len(found), "picture has", "pictures have")
            lines = _lines(survey, found)
            yield Problem(kind, "note", f"{has} {words}.", fix, lines)


def _traits(survey: Survey) -> Iterator[Problem]:
    readable = int(survey.readable.sum())
    for trait, count in sorted(survey.traits().items()):
        if count == readable:
            continue  # the whole set is like that: the summary says so
        chosen = _where(np.array([trait in one.traits for one in survey.facts]))
        yield Problem(
            trait.replace(" ", "-").lower(),
            "note",
            f"{counted(count, 'picture')} of {readable:,}: {trait}.",
            _TRAITS[trait],
            _lines(survey, chosen),
        )


def _misnamed(survey: Survey) -> Iterator[Problem]:
    wrong = [
        i
        for i, one in enumerate(survey.facts)
        if one.format in _ENDINGS and PurePath(survey.paths[i]).suffix[1:].lower() not in _ENDINGS[one.format]
    ]
    if wrong:
        yield Problem(
            "misnamed",
            "note",
            f"{counted(len(wrong), 'file is', 'files are')} of another format than the name says.",
            "Nothing to do here: the content decides. Other programs may refuse them.",
            _lines(survey, wrong, [f"is {survey.facts[i].format}" for i in wrong]),
        )


def _lines(survey: Survey, chosen: Sequence[int], details: Sequence[str] | None = None) -> tuple[Finding, ...]:
    """One finding a picture; without details, its size."""
    if details is None:
        details = [f"{survey.facts[i].width}x{survey.facts[i].height}" for i in chosen]
    return tuple(Finding(survey.paths[i], detail=detail) for i, detail in zip(chosen, details, strict=True))


def _where(condition: NDArray[np.bool_]) -> list[int]:
    return [int(i) for i in np.flatnonzero(condition)]
