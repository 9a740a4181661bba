"""`separable predict` for networks that answer for every pixel."""

import sys
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from separable.cli.output import Output, counter
from separable.cli.predict_files import OutlineFile, Sink, mask_file, outline_file, overlay_file
from separable.cli.predict_names import Names, demand_ours, named_pictures, shared_stems
from separable.cli.predict_shares import MaskAnswer, print_shares
from separable.cli.predict_wishes import MaskWishes
from separable.cli.predict_words import note, one_line
from separable.cli.tuning import runtime_of
from separable.errors import BadPictureError
from separable.segmentation.labels import background_of

if TYPE_CHECKING:
    from separable.machine.runtime import Settings
    from separable.runtime.mask_rows import MaskRows
    from separable.runtime.masks import MaskPredictor
    from separable.segmentation.labels import Mask

__all__ = ["predict_masks"]

_MUCH_LARGER = 16
"""Times as many pixels as the network sees."""


def predict_masks(
    predictor: "MaskPredictor",
    pictures: Sequence[str],
    wishes: MaskWishes,
    output: Output,
    settings: "Settings",
    json: bool,
) -> Counter[str]:
    """Predict, write, and print the shares; how many pictures were answered and failed."""
    counts: Counter[str] = Counter()
    answers: list[MaskAnswer] = []
    with outline_file(wishes.outlines, predictor.class_names) as outlines:
        work = _Work(predictor, wishes, outlines)
        found = _counted(work.answers(pictures), counts)
        if json:
            answers = list(found)
        else:
            print_shares(output, found)
    if wishes.places and not json:
        note(_summary(wishes, counts))
    if not wishes.places:
        output.document([answer.to_json() for answer in answers])
        return counts
    document = {**wishes.places, "pictures": counts.total(), "failed": counts["failed"]}
    rows = [answer.to_json() for answer in answers]
    output.document({**document, "answers": rows, "runtime": runtime_of(settings, predictor.acceleration)})
    return counts


class _Work:
    """Pictures to answers and files, one at a time."""

    def __init__(self, predictor: "MaskPredictor", wishes: MaskWishes, outlines: OutlineFile | None) -> None:
        self._predictor, self._wishes, self._outlines = predictor, wishes, outlines
        self._names = Names()
        self._told = self._names_told = False
        self._progress = counter("pictures")
        self._rows_done = counter("rows of a picture")

    def answers(self, pictures: Sequence[str]) -> Iterator[MaskAnswer]:
        wishes, waiting = self._wishes, deque[str]()
        folders = [folder for folder in (wishes.out, wishes.overlay) if folder is not None]
        if folders:
            self._names = Names(shared_stems(pictures, folders))

        def paths() -> Iterator[str]:
            for path, name in named_pictures(pictures, sys.stdin, folders):
                waiting.append(name)
                yield path

        way: dict[str, Any] = {"tile": wishes.tile, "overlap": wishes.overlap, "flips": wishes.flips}
        for number, rows in enumerate(self._predictor.rows(paths(), **way, pixels=wishes.overlay is not None), start=1):
            yield self._answer(rows, waiting.popleft())
            self._progress(number, None)
        self._progress(0, 0)  # takes the line away

    def _answer(self, rows: "MaskRows", name: str) -> MaskAnswer:
        self._tell(rows)
        if rows.error is not None:
            return MaskAnswer(rows.source, error=rows.error)
        try:
            return self._written(rows, name)
        except BadPictureError as error:
            return MaskAnswer(rows.source, error=str(error).rstrip("."))

    def _written(self, rows: "MaskRows", name: str) -> MaskAnswer:
        free = self._names.free(name)
        folders = {"mask": self._wishes.out, "overlay": self._wishes.overlay}
        files = {kind: folder / f"{free}.png" for kind, folder in folders.items() if folder is not None}
        self._tell_name(rows.source, name, free, files)
        for target in files.values():
            demand_ours(target, rows.source)
        outlines, refused = self._outlines, None
        try:
            if outlines is not None:
                outlines.demand_size(rows.size)
        except BadPictureError as error:
            if not files:
                raise
            outlines, refused = None, error  # masks and overlays are written all the same
        pixels = np.zeros(len(self._predictor.class_names), np.int64)
        with ExitStack() as stack:
            sinks, kept = self._sinks(stack, files, rows.size, keep=outlines is not None)
            done = 0
            for strip in rows.strips():
                pixels += np.bincount(strip.mask.ravel(), minlength=len(pixels))
                for sink in sinks:
                    sink(strip)
                done += len(strip.mask)
                self._rows_done(done, rows.size[0])
        if outlines is not None:
            refused = _outlined(outlines, name, rows.size, np.concatenate(kept))
        shares = (pixels / pixels.sum()).tolist()
        named = dict(zip(self._predictor.class_names, shares, strict=True))
        cause = None if refused is None else str(refused).rstrip(".")
        return MaskAnswer(rows.source, rows.size, named, {kind: str(path) for kind, path in files.items()}, cause)

    def _sinks(
        self, stack: ExitStack, files: dict[str, Path], size: tuple[int, int], *, keep: bool
    ) -> tuple[list[Sink], "list[Mask]"]:
        from separable.segmentation.palette import distinct_colours

        colours, kept = self._predictor.colours, list["Mask"]()
        sinks: list[Sink] = []
        if "mask" in files:
            sinks.append(stack.enter_context(mask_file(files["mask"], size, colours)))
        if "overlay" in files:
            background = background_of(self._predictor.class_names)
            sinks.append(
                stack.enter_context(overlay_file(files["overlay"], size, distinct_colours(colours), background))
            )
        if keep:
            sinks.append(lambda strip: kept.append(strip.mask))
        return sinks, kept

    def _tell_name(self, source: str, name: str, free: str, files: dict[str, Path]) -> None:
        """Once, that a file is not called as its picture, where nobody could know of the other in time."""
        if files and not self._names_told and not self._names.was_known(name, free):
            self._names_told = True
            note(
                f"the file of {one_line(source)} is {one_line(str(next(iter(files.values()))))}, as another picture "
                "has the plain name; --json lists the file of every picture"
            )

    def _tell(self, rows: "MaskRows") -> None:
        """Once, that tiles are there."""
        if self._told or self._wishes.tile is not None:
            return
        height, width = self._predictor.contract.size
        if rows.error is not None and rows.error.startswith("too large"):
            self._told = True
            note("with --tile 512, PNG, BMP and PPM files of any size can be predicted, strip by strip")
        elif rows.size[0] * rows.size[1] > _MUCH_LARGER * height * width:
            self._told = True
            note(
                f"{one_line(rows.source)} has {rows.size[1]}x{rows.size[0]} pixels, and the network sees a copy of "
                f"{width}x{height}; with --tile 512 it sees every pixel, tile by tile, which suits networks that have "
                "learnt at that scale"
            )


def _outlined(outlines: OutlineFile, name: str, size: tuple[int, int], mask: "Mask") -> BadPictureError | None:
    """Add the regions of a picture; or why there are none."""
    try:
        outlines.add(name, size, outlines.trace(mask))
    except BadPictureError as error:
        return error
    return None


def _counted(answers: Iterator[MaskAnswer], counts: Counter[str]) -> Iterator[MaskAnswer]:
    for answer in answers:
        counts["failed" if answer.error else "answered"] += 1
        yield answer


def _summary(wishes: MaskWishes, counts: Counter[str]) -> str:
    words = {"out": "masks", "overlay": "overlays", "outlines": "outlines"}
    places = ", ".join(f"{words[name]} in {place}" for name, place in wishes.places.items())
    failed = f"; {counts['failed']:,} could not be predicted (their lines say why)" if counts["failed"] else ""
    return f"{counts['answered']:,} pictures predicted, {places}{failed}"
