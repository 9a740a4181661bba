"""The report of a segmentation as one file: sections in the order a reader asks for them."""

from pathlib import Path

from separable.analysis.plots.markup import Markup
from separable.segmentation.measured_at import picture_scale
from separable.segmentation.report.classes import class_section, pixel_confusion
from separable.segmentation.report.colours import colour_section
from separable.segmentation.report.headline import headline
from separable.segmentation.report.panels import LONGEST_SIDE, Panels
from separable.segmentation.report.pictures import sample_section, worst_section
from separable.segmentation.report.reading import read_measured
from separable.segmentation.report.record import Measured
from separable.training.report.commands import predict_command
from separable.training.report.confusion import confusion_section
from separable.training.report.data_check import data_section, unreadable_section
from separable.training.report.frame import check_roots, picture_roots, write_page
from separable.training.report.learning import Curve, learning_section
from separable.training.report.opening import use_section
from separable.training.report.reading import RunReader, read_record
from separable.training.report.record import RunRecord
from separable.training.report.setup import cost_section, setup_section
from separable.training.report.spread import spread_section
from separable.training.report.thumbnails import Gallery, leads_outside

__all__ = ["write_report"]

_CURVES = (
    Curve("mean IoU", "val_miou", said="mean IoU "),
    Curve("pixels right", "val_pixel_accuracy", "train_pixel_accuracy", "pixels right, "),
)
_SPREAD = (
    "Each picture by itself, over the classes that it or its prediction shows; the figures above are of all pixels "
    "together."
)
_STYLE = """
.quads{list-style:none;margin:0;padding:0;display:grid;gap:30px}
.quads li{min-width:0;break-inside:avoid}
.quads p{margin:6px 0 0;max-width:none;font-size:13px;line-height:1.4}
.four{display:grid;grid-template-columns:repeat(4,minmax(0,1fr));gap:8px}
.four figcaption{margin:0;font-size:12.5px}
.four .frame{aspect-ratio:1;margin-bottom:3px;font-size:12.5px}
.squares img{image-rendering:pixelated;object-fit:fill}
.legend{display:flex;flex-wrap:wrap;gap:6px 22px;list-style:none;margin:0 0 14px;padding:0;font-size:14px}
.legend li{display:flex;align-items:baseline;overflow-wrap:anywhere}
.legend i,.chips i{flex:none;display:inline-block;width:12px;height:12px;margin-right:7px;outline:1px solid var(--soft);
outline-offset:-1px;align-self:center}
.chips i{width:9px;height:9px;margin-right:4px}
.chips span{margin-right:6px}
@media (max-width:560px){.four{grid-template-columns:repeat(2,minmax(0,1fr))}}
@media print{.quads{gap:14px}.four{max-width:15cm}}
"""


def write_report(run: Path) -> Path:
    """Write `run`/report.html from the run's files and the pictures they name, and return its path.

    The page needs no network and no other file. Whatever the run does not have (it was interrupted, there was no
    held-out set, pictures are gone) is left out or said; it is a few MB at most.

    Raises:
        RunFolderError: `run` is not a run folder.
        OutputError: the report cannot be written.
    """
    reader = RunReader(Path(run))
    measured = read_measured(reader)
    record = read_record(reader)
    thumbnails = f"Pictures and masks are at most {LONGEST_SIDE} pixels wide or high."
    top = headline(record, measured.scores, _scale(record, measured))
    return write_page(record, top, _sections(record, measured), _STYLE, thumbnails)


def _scale(record: RunRecord, measured: Measured) -> float | None:
    """How many of the held-out pictures' own pixels one of the network's input covers along a side."""
    if measured.contract is None:
        return None
    names = [row.path for row in measured.pictures if not leads_outside(Path(row.path))]
    for root in picture_roots(record, "val_root"):
        found = picture_scale([root / name for name in names], measured.contract)
        if found is not None:
            return found
    return None


def _sections(record: RunRecord, measured: Measured) -> list[tuple[str, str, Markup | None]]:
    scores = measured.scores
    bad = measured.evaluation.bad if measured.evaluation else ()
    return [
        ("use", "Use it", use_section(record, _use(record, measured))),
        ("learning", "Learning", learning_section(record, _CURVES, scores is not None)),
        *(_measured_sections(record, measured) if scores is not None else ()),
        ("data", "Data", data_section(record.check, Gallery(check_roots(record))) if record.check else None),
        ("unreadable", "Unreadable", unreadable_section(record, bad)),
        ("cost", "Cost", cost_section(record.profile)),
        ("setup", "Setup", setup_section(record)),
    ]


def _use(record: RunRecord, measured: Measured) -> list[tuple[str, str | None]]:
    """What the model is for, and the command."""
    masks, seen = (f"{record.run.name}-{what}" for what in ("masks", "seen"))
    whole = predict_command(record, "--out", masks, "--overlay", seen)
    tiled = None
    if measured.contract is not None:
        tiled = predict_command(record, "--out", masks, "--tile", "{}x{}".format(*measured.contract.size))
    return [
        ("Find the classes in pictures, these or any others: masks, and pictures under their masks", whole),
        ("In pictures of any size, where things are as large in pixels as the network saw them", tiled),
    ]


def _measured_sections(record: RunRecord, measured: Measured) -> list[tuple[str, str, Markup | None]]:
    scores, pictures = measured.scores, measured.pictures
    assert scores is not None, "asked for by the caller"
    panels = Panels(record.run, picture_roots(record, "val_root"), measured)
    return [
        ("colours", "Colours", colour_section(scores) if pictures else None),
        ("worst", "Worst pictures", worst_section(pictures, scores, panels)),
        ("sample", "Sample", sample_section(pictures, scores, panels)),
        ("spread", "Spread", spread_section([row.miou for row in pictures], "mean IoU", _SPREAD)),
        ("classes", "Classes", class_section(scores)),
        ("confusion", "Confusion", confusion_section(pixel_confusion(scores))),
    ]
