"""A. G. Howard et al., "MobileNets" (arXiv:1704.04861), table 5: thin against shallow.

Claimed (section 4.1): at similar cost, making the network thinner (0.75 of its channels) is 3 % better than making it
shallower (without the five layers of 14x14x512).

Trained there: as table 4.
"""

from separable.experiments.scales import MOBILENETS, MOBILENETS_READING, TUNED_PAPER_COST, cost_of
from separable.experiments.schema import Arm, Claim, Experiment

__all__ = ["EXPERIMENT"]

EXPERIMENT = Experiment(
    name="mobilenet/table5",
    title="Thin against shallow",
    source="arXiv:1704.04861, table 5 and section 4.1",
    says="At similar cost, a thinner network is 3 % better than a shallower one.",
    arms=(
        Arm("0.75", "mobilenet_v1", {"width": 0.75}, published={"top1": 0.684, "macs": 325e6, "parameters": 2.6e6}),
        Arm(
            "shallow", "mobilenet_v1", {"shallow": True}, published={"top1": 0.653, "macs": 307e6, "parameters": 2.9e6}
        ),
    ),
    measures=("top1", "macs", "parameters", "loss", "milliseconds"),
    claims=(Claim("Thin is better than shallow", "top1", "0.75", "above", "shallow"),),
    setups=MOBILENETS,
    reading="On a laptop both have half of these channels: widths of 0.375, and 0.5 without the five layers. "
    f"{MOBILENETS_READING}",
    costs=cost_of("about 5 minutes of 2 cores", paper=TUNED_PAPER_COST),
)
