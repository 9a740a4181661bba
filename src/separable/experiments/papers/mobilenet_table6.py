"""A. G. Howard et al., "MobileNets" (arXiv:1704.04861), table 6: the width multiplier.

Claimed (section 4.2): accuracy falls smoothly as the network gets thinner, until at 0.25 it is too small.

Trained there: as table 4.
"""

from separable.experiments.scales import MOBILENETS, MOBILENETS_READING, TUNED_PAPER_COST, cost_of
from separable.experiments.schema import Arm, Claim, Experiment

__all__ = ["EXPERIMENT"]

EXPERIMENT = Experiment(
    name="mobilenet/table6",
    title="The width multiplier",
    source="arXiv:1704.04861, table 6 and section 4.2",
    says="Accuracy falls smoothly with the width, and off at 0.25.",
    arms=(
        Arm("1.0", "mobilenet_v1", published={"top1": 0.706, "macs": 569e6, "parameters": 4.2e6}),
        Arm("0.75", "mobilenet_v1", {"width": 0.75}, published={"top1": 0.684, "macs": 325e6, "parameters": 2.6e6}),
        Arm("0.5", "mobilenet_v1", {"width": 0.5}, published={"top1": 0.637, "macs": 149e6, "parameters": 1.3e6}),
        Arm("0.25", "mobilenet_v1", {"width": 0.25}, published={"top1": 0.506, "macs": 41e6, "parameters": 0.5e6}),
    ),
    measures=("top1", "macs", "parameters", "loss", "milliseconds"),
    claims=(
        Claim("1.0 is better than 0.75", "top1", "1.0", "above", "0.75"),
        Claim("0.75 is better than 0.5", "top1", "0.75", "above", "0.5"),
        Claim("0.5 is better than 0.25", "top1", "0.5", "above", "0.25"),
    ),
    setups=MOBILENETS,
    reading=f"On a laptop the widths are half of these: the row's name is the published one. {MOBILENETS_READING}",
    costs=cost_of("about 8 minutes of 2 cores", paper=TUNED_PAPER_COST),
)
