"""The section with the heat maps and attributions of each class, their scales, and their numbers."""

from collections.abc import Mapping

from separable.analysis.explain.colour import css_gradient
from separable.analysis.explain.explanation import Evidence
from separable.analysis.explain.images import attribution_limit
from separable.analysis.explain.subject import Subject, file_name
from separable.analysis.explain.views import image
from separable.analysis.page.html import Column, section, table
from separable.analysis.page.wording import percent
from separable.analysis.plots.markup import Markup, element, shorten

__all__ = ["evidence_section"]

_MINUS = "\N{MINUS SIGN}"


def evidence_section(subject: Subject, images: Mapping[str, bytes]) -> Markup:
    """One row of pictures a class; then all their numbers in a table."""
    content: list[Markup] = []
    for evidence in subject.explanation.evidence:
        name = subject.name(evidence.index)
        share = " of the pixels seen" if subject.of_pixels else ""
        head = element("span", f"{subject.role(evidence)}, {percent(evidence.probability)}{share}")
        content.append(element("p", shorten(name, 80), " \N{MIDDLE DOT} ", head, class_="why"))
        looks = _looks(subject, evidence, images)
        if looks:
            content.append(element("div", *looks, class_="looks"))
    content.append(_numbers(subject))
    first = subject.explanation.evidence[0]
    said = ["where the evidence lies (Grad-CAM)"] if first.cam is not None else []
    if first.attribution is not None:
        what = "the class' logits in its region" if subject.of_pixels else "the class' logit"
        said.append(f"what each pixel adds to {what} or takes from it (integrated gradients)")
    whom = "the two largest classes" if subject.of_pixels else "the answer, the runner-up"
    whom = "the two most probable tags" if subject.of_tags else whom
    lead = f"For {whom} and each class that was asked for: {', and '.join(said)}."
    return section("evidence", "The evidence", lead, *content)


def _looks(subject: Subject, evidence: Evidence, images: Mapping[str, bytes]) -> list[Markup]:
    name = subject.name(evidence.index)
    file = file_name(evidence.index, name)
    looks = []
    if subject.of_pixels:
        looks.append(_look(image(images[f"region-{file}.png"], f"What is taken for {name}"), "The pixels taken for it"))
    if evidence.cam is not None and subject.layer is not None and subject.shows_cam:
        most = float(evidence.cam.max())
        ramp = _legend("amount", "0", f"most: {most:.3g}")
        if most <= 0:
            ramp = element("p", "No position of this layer speaks for this class: the map is 0.", class_="note")
        over, alone = images[f"gradcam-{file}.png"], images[f"gradcam-cells-{file}.png"]
        looks.append(_look(image(over, f"Grad-CAM over the picture, for {name}"), "Grad-CAM over the picture", ramp))
        positions = f"Its {subject.layer.height}x{subject.layer.width} positions as they are"
        looks.append(_look(image(alone, f"Grad-CAM for {name}", squares=True), positions, ramp))
    if evidence.attribution is not None:
        limit = attribution_limit(evidence.attribution.values[0])
        drawn = image(images[f"integrated-{file}.png"], f"Integrated gradients for {name}")
        ramp = _legend("signed", f"{_MINUS}{limit:.2g} against", f"in favour +{limit:.2g}")
        looks.append(_look(drawn, "Integrated gradients, the sum of each pixel's colours", ramp))
    return looks


def _look(drawn: Markup, words: str, legend: Markup | None = None) -> Markup:
    return element("figure", drawn, *([legend] if legend is not None else []), element("figcaption", words))


def _legend(scale: str, low: str, high: str) -> Markup:
    ramp = element("div", "", class_="ramp", style=f"background:{css_gradient(scale)}")
    return element("div", ramp, element("span", low), element("span", high), class_="legend")


def _numbers(subject: Subject) -> Markup:
    share = "share of the pixels" if subject.of_pixels else subject.sureness
    columns = [Column("class"), Column(share, True), Column(subject.score, True)]
    evidences, score = subject.explanation.evidence, subject.score
    if evidences[0].attribution is not None:
        columns += [
            Column(f"{score} difference", True, f"The {score} of the picture minus that of the black one"),
            Column("sum of attributions", True, f"Would be the {score} difference, were the integral exact"),
            Column("gap", True, f"What lies between them, as a share of the {score} difference"),
            Column("steps", True, "Points of the path at which the gradient was taken"),
        ]
    if subject.shows_cam:
        columns.append(Column("Grad-CAM's most", True, "The largest value of the heat map, whose own scale ends here"))
    return table(columns, [_row(subject, one) for one in evidences], "The numbers behind the pictures")


def _row(subject: Subject, evidence: Evidence) -> list[tuple[str, float | None]]:
    row: list[tuple[str, float | None]] = [
        (subject.name(evidence.index), None),
        (percent(evidence.probability), evidence.probability),
        _number(evidence.logit),
    ]
    found = evidence.attribution
    if found is not None:
        difference, gap, share = float(found.difference), float(found.gap), float(found.share)
        row += [_number(difference), _number(difference + gap), (percent(share), share)]
        row.append((str(found.steps[0]), float(found.steps[0])))
    if subject.shows_cam and evidence.cam is not None:
        row.append(_number(float(evidence.cam.max())))
    return row


def _number(value: float) -> tuple[str, float]:
    return f"{value:.3f}".replace("-", _MINUS), value
