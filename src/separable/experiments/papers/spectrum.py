"""The spectrum between a regular and a depthwise separable convolution, which F. Chollet, "Xception"
(arXiv:1610.02357), section 1.2, describes and nobody measured.

Said there: there is "a discrete spectrum between regular convolutions and depthwise separable convolutions,
parametrized by the number of independent channel-space segments used for performing spatial convolutions". One segment
is a regular convolution behind or before a 1x1, an Inception module has three or four, a separable convolution one for
each channel. "The properties of such intermediate modules appear not to have been explored yet"; section 5 suspects
that they "may hold further advantages".

Here: Xception with every 3x3 on k segments of the channels, then the 1x1, its width solved for so that parameters, or
multiply-adds, are those of the network with one segment a channel. Where the channels are no multiple of k, segments
differ by one channel.

Readings: there is no published figure. What the paper suspects is taken as a claim against each end of the spectrum for
a k in the middle that was fixed beforehand, 16; what was found over all k is said by `experiments.spectrum`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from separable.experiments.scales import GPU, LAPTOP, PAPER, SMOKE, cost_of
from separable.experiments.schema import Arm, Claim, Experiment, Scale, Setup

__all__ = ["EXPERIMENT", "SEGMENTS"]

SEGMENTS = (1, 2, 3, 4, 8, 16, 32)
"""Besides one for each channel."""

_ALL = "k = all"
_MACS = "equal multiply-adds"

# By scale, for each of SEGMENTS: the widths of equal parameters, and those of equal multiply-adds.
# `experiments.matching.solve_width` found them; a test does it again.
_WIDTHS: Mapping[Scale, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "smoke": (
        (0.0492, 0.0605, 0.0715, 0.0808, 0.0935, 0.1063, 0.1153),
        (0.0385, 0.06, 0.0715, 0.0808, 0.0937, 0.1063, 0.1153),
    ),
    "laptop": (
        (0.0927, 0.1224, 0.1406, 0.1586, 0.1899, 0.2143, 0.2318),
        (0.0935, 0.125, 0.1474, 0.1563, 0.1875, 0.2148, 0.2343),
    ),
    "gpu": (
        (0.1704, 0.2266, 0.2685, 0.2943, 0.3614, 0.4179, 0.456),
        (0.1704, 0.2343, 0.2693, 0.3016, 0.368, 0.4219, 0.4561),
    ),
    "paper": (
        (0.3462, 0.4669, 0.5438, 0.5985, 0.7214, 0.8297, 0.9064),
        (0.3438, 0.4561, 0.533, 0.588, 0.7196, 0.829, 0.9063),
    ),
}


def _name(segments: int, what: str = "") -> str:
    return f"k = {segments}" + (f", {what}" if what else "")


def _arms() -> tuple[Arm, ...]:
    named = ((segments, what) for what in ("", _MACS) for segments in SEGMENTS)
    arms = [
        Arm(_name(segments, what), "xception", {"segments": segments}, published_network=False)
        for segments, what in named
    ]
    return (*arms[: len(SEGMENTS)], Arm(_ALL, "xception", note="Xception"), *arms[len(SEGMENTS) :])


def _widths(scale: Scale) -> dict[str, dict[str, Any]]:
    sets = zip(("", _MACS), _WIDTHS[scale], strict=True)
    return {
        _name(segments, what): {"width": width}
        for what, widths in sets
        for segments, width in zip(SEGMENTS, widths, strict=True)
    }


_SETUPS: Mapping[Scale, Setup] = {
    "smoke": replace(
        SMOKE,
        options={"xception": {"width": 0.125, "middle_blocks": 1, "stem_stride": 1}},  # narrower, none cost the same
        arm_options=_widths("smoke"),
    ),
    "laptop": replace(
        LAPTOP,
        options={"xception": {"width": 0.25, "middle_blocks": 2, "stem_stride": 1}},
        arm_options=_widths("laptop"),
    ),
    "gpu": replace(GPU, arm_options=_widths("gpu")),
    "paper": replace(PAPER, arm_options=_widths("paper")),
}

EXPERIMENT = Experiment(
    name="spectrum",
    title="Between regular and depthwise separable convolutions",
    source="arXiv:1610.02357, sections 1.2 and 5",
    says="Between a regular convolution (k = 1) and a depthwise separable one (k = all) lies a spectrum; it is not "
    "explored, and there is no reason to think that its ends are best.",
    arms=_arms(),
    measures=("top1", "loss", "early_top1", "parameters", "macs", "milliseconds", "memory"),
    claims=(
        Claim("Depthwise separable is better than regular", "top1", _ALL, "above", _name(1)),
        Claim("The middle is better than regular", "top1", _name(16), "above", _name(1)),
        Claim("The middle is better than depthwise separable", "top1", _name(16), "above", _ALL),
        Claim("So it is at equal multiply-adds", "top1", _name(16, _MACS), "above", _ALL),
    ),
    setups=_SETUPS,
    reading="Nothing is published: k = 16 stands for the middle, chosen before anything was run. Rows without another "
    "word have equal parameters, as far as channels in eights allow; the others equal multiply-adds. In "
    "Xception the two are nearly the same demand.",
    costs=cost_of("about 15 minutes of 2 cores"),
)
