"""The section that says how everything on the page was computed, and how to have it again."""

from separable.analysis.explain.integrated import LARGEST_GAP, LARGEST_STEPS
from separable.analysis.explain.recording import FeatureLayer
from separable.analysis.explain.subject import Subject
from separable.analysis.page.html import command, key_values, section
from separable.analysis.plots.markup import Markup, element, join
from separable.models import InputContract

__all__ = ["method_section"]

_SCALES = (
    "Grad-CAM runs from 0 to its own largest value. Attributions run from against to in favour, both ends at the "
    "99th percentile of their size; what is larger has the end's colour. Equal steps of a scale are equal "
    "differences of colour in CIELAB."
)
_LIMITS = (
    "Neither picture is a cause by itself: Grad-CAM is as coarse as its layer and leaves out what speaks against a "
    "class, and attributions are relative to a black picture, so black parts get none."
)
_REGION = (
    "y is the sum of a class' logits over the pixels taken for it, as in Seg-Grad-CAM (arXiv:2002.11434). These pixels "
    "stay the same along the path of integrated gradients. A class that no pixel is taken for has no y."
)
_ONE_SCALE = (
    "Attributions run from against to in favour, both ends at the 99th percentile of their size; what is larger has "
    "the end's colour. Equal steps of a scale are equal differences of colour in CIELAB."
)
_ONE_LIMIT = "Attributions are no causes by themselves: they are relative to a black picture, so black parts get none."


def method_section(subject: Subject) -> Markup:
    """Definitions with their sources, the layer, the scales, the command."""
    first = subject.explanation.evidence[0]
    contract = subject.contract
    pairs: list[tuple[str, str | Markup]] = [("Network", f"{subject.network}, in evaluation mode")]
    pairs.append(("Input", _input(contract)))
    if subject.of_pixels:
        pairs.append(("What is explained", _REGION))
    if first.cam is not None and subject.layer is not None:
        pairs.append(("Grad-CAM", _grad_cam(subject.layer, subject.of_pixels)))
    if first.attribution is not None:
        pairs.append(("Integrated gradients", _integrated(subject.steps, first.attribution.steps[0], subject.score)))
    both = first.cam is not None
    pairs += [("Scales", _SCALES if both else _ONE_SCALE), ("What it is not", _LIMITS if both else _ONE_LIMIT)]
    lead = "How the pictures above were computed, and the command that makes this page again."
    return section("method", "Method", lead, key_values(pairs), command(subject.command))


def _input(contract: InputContract) -> str:
    mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (contract.mean, contract.std))
    formula = f"(pixel / {contract.pixel_range[1]:g} \N{MINUS SIGN} mean) / std"
    return f"{formula} in {contract.colour_order} with the means {mean} and the deviations {std}"


def _grad_cam(layer: FeatureLayer, of_pixels: bool) -> Markup:
    where = "" if of_pixels else "where y is the class' logit and "
    maps = f"{layer.name} ({layer.channels} maps of {layer.height}x{layer.width})"
    return join(
        element("span", "ReLU(\N{GREEK CAPITAL LETTER SIGMA} mean(dy/dA) A)", class_="formula"),
        f" over the maps A of {maps}, {where}the mean goes over positions: equations 1 and 2 "
        "of arXiv:1610.02391. The map is laid over the picture as if each position stood for its share of it, and "
        "enlarged bilinearly.",
    )


def _integrated(wanted: int | None, taken: int, score: str) -> Markup:
    steps = f"{wanted} steps, as asked for."
    if wanted is None:
        steps = (
            f"The steps (for the answer {taken}) are tripled from 16 on until the sum of all attributions is within "
            f"{LARGEST_GAP:.0%} of the {score} difference, or {LARGEST_STEPS} are done."
        )
    return join(
        element("span", "(x \N{MINUS SIGN} x\N{PRIME}) mean(dy/dx)", class_="formula"),
        " along the straight path from the baseline x\N{PRIME}, a black picture, to the picture x, by the midpoint "
        f"rule: equation 1 of arXiv:1703.01365. {steps}",
    )
