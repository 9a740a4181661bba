"""Pictures to look at: the most confidently wrong, a random sample, and labels that are probably wrong."""

from collections.abc import Sequence

from separable.analysis.drawing_lots import draw_by_name
from separable.analysis.page.html import command, note, section
from separable.analysis.page.wording import count_of, percent
from separable.analysis.plots.markup import Markup, element, shorten
from separable.training.report.commands import corrected_command
from separable.training.report.record import Predicted, RunRecord, Suspected, value_at
from separable.training.report.thumbnails import Gallery

__all__ = ["mistakes_section", "sample_section", "suspects_section"]

_MOST_WRONG = 20
_SAMPLE = 30
_MOST_SUSPECTS = 20
_HOW_TO_MEND = (
    "To mend them, open suspects.csv and write the right class into the column \N{LEFT DOUBLE QUOTATION MARK}label"
    "\N{RIGHT DOUBLE QUOTATION MARK}, or leave it empty to leave the picture out. Rows that stay as they are change "
    "nothing. Then train with the corrected labels:"
)


def mistakes_section(predictions: Sequence[Predicted], gallery: Gallery) -> Markup | None:
    """The wrong answers given with the highest confidence: they teach most about the data and the network."""
    if not predictions:
        return None
    wrong = sorted((p for p in predictions if not p.correct), key=lambda p: (-_finite(p.confidence), p.path))
    if not wrong:
        return section("wrong", "Confidently wrong", "No held-out picture was answered wrongly.")
    shown = wrong[:_MOST_WRONG]
    lead = f"{count_of(len(wrong), 'wrong answer')} among {count_of(len(predictions), 'picture')}"
    lead += f"; the {len(shown)} surest are here." if len(wrong) > len(shown) else ", the surest first."
    shots = _shots([_answer(p, gallery) for p in shown])
    return section("wrong", "Confidently wrong", lead, shots, *_gone(shown, gallery))


def sample_section(predictions: Sequence[Predicted], gallery: Gallery) -> Markup | None:
    """Pictures drawn by a hash of their names: the same ones for the same set, whatever the order of the file."""
    if not predictions:
        return None
    shown = [predictions[index] for index in draw_by_name([p.path for p in predictions], _SAMPLE)]
    right = sum(p.correct for p in shown)
    lead = f"{len(shown)} held-out pictures drawn at random: {right} right, {len(shown) - right} wrong."
    if len(shown) == len(predictions):
        lead = f"All {count_of(len(shown), 'held-out picture')}: {right} right, {len(shown) - right} wrong."
    shots = _shots([_answer(p, gallery) for p in shown])
    return section("sample", "A random sample", lead, shots, *_gone(shown, gallery))


def suspects_section(record: RunRecord, suspects: Sequence[Suspected] | None, gallery: Gallery) -> Markup | None:
    """Training pictures whose label is probably wrong, and how to mend them."""
    if suspects is None:
        return None
    if not suspects:
        return section("labels", "Probably wrong labels", "No label looks wrong.")
    shown = suspects[:_MOST_SUSPECTS]
    lead = f"{count_of(len(suspects), 'picture')} whose label the others contradict, most likely first."
    if len(shown) < len(suspects):
        lead += f" The first {len(shown)} are here, all of them in suspects.csv."
    content = [_shots([_suspect(s, gallery) for s in shown]), *_gone(shown, gallery)]
    content.append(note(_HOW_TO_MEND))
    earlier = value_at(record.config, "data", "labels_csv")
    if earlier:
        content.append(note(f"This run already had corrections: copy the rows of {earlier} into the file too."))
    retrain = corrected_command(record)
    content += [command(retrain)] if retrain else []
    return section("labels", "Probably wrong labels", lead, *content)


def _shots(items: Sequence[Markup]) -> Markup:
    return element("ul", *items, class_="shots")


def _answer(row: Predicted, gallery: Gallery) -> Markup:
    sure = percent(row.confidence, 0)
    alt = f"{row.path}: taken for {row.predicted} at {sure}, truly {row.label}"
    said = element("span", f"{shorten(row.predicted, 40)} {sure}", class_="said")
    truth = None if row.correct else element("span", f"truly {shorten(row.label, 40)}", class_="truth")
    return element("li", gallery.show(row.path, alt), said, truth, class_="right" if row.correct else "wrong")


def _suspect(row: Suspected, gallery: Gallery) -> Markup:
    alt = f"{row.path}: labelled {row.given}, looks like {row.suggested}"
    said = element("span", f"{shorten(row.suggested, 40)}? {percent(row.score, 0)}", class_="said")
    given = element("span", f"labelled {shorten(row.given, 40)}", class_="truth")
    return element("li", gallery.show(row.path, alt), said, given)


def _gone(shown: Sequence[Predicted] | Sequence[Suspected], gallery: Gallery) -> list[Markup]:
    gone = gallery.missing_of([row.path for row in shown])
    if not gone:
        return []
    return [note(f"{gone} of these {len(shown)} could not be shown: they were moved, deleted or damaged since.")]


def _finite(value: float) -> float:
    return value if value == value else -1.0
