"""The spectrum between a regular and a depthwise separable convolution at equal measured milliseconds.

As `papers.spectrum`, arXiv:1610.02357, sections 1.2 and 5, but that widths are solved for on the machine that runs it:
a picture takes each network as long as the one with one segment a channel. Equal parameters or multiply-adds are not
equal time: a convolution of few segments keeps a processor busier than a depthwise one, which waits for memory.

The widths are written down beside the result before anything is trained, and stay what they are, so that a run which
goes on ends in the same table. On another machine the table is another one.
"""

from dataclasses import replace

from separable.experiments.papers.spectrum import EXPERIMENT as SPECTRUM
from separable.experiments.scales import cost_of
from separable.experiments.schema import Arm, Claim, Experiment

__all__ = ["EXPERIMENT"]

_SEGMENTS = (1, 2, 4, 8, 16, 32)
_ALL = "k = all"


def _name(segments: int) -> str:
    return f"k = {segments}"


EXPERIMENT = Experiment(
    name="spectrum/milliseconds",
    title="Between regular and depthwise separable convolutions, equally fast",
    source=SPECTRUM.source,
    says=SPECTRUM.says,
    arms=(
        *(
            Arm(_name(k), "xception", {"segments": k}, match=("milliseconds", _ALL), published_network=False)
            for k in _SEGMENTS
        ),
        Arm(_ALL, "xception", note="Xception"),
    ),
    measures=SPECTRUM.measures,
    claims=(
        Claim("In equal time depthwise separable is better than regular", "top1", _ALL, "above", _name(1)),
        Claim("In equal time the middle is better than regular", "top1", _name(16), "above", _name(1)),
        Claim("In equal time the middle is better than depthwise separable", "top1", _name(16), "above", _ALL),
    ),
    setups={scale: replace(setup, arm_options={}) for scale, setup in SPECTRUM.setups.items()},
    reading="Nothing is published: k = 16 stands for the middle, chosen before anything was run. Each width is solved "
    "for, alone and before the trainings, so that one picture takes as many milliseconds as with k = all on this "
    "machine; then it is written down and stays.",
    costs=cost_of("about 10 minutes of 2 cores"),
)
