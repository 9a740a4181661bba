"""A. G. Howard et al., "MobileNets" (arXiv:1704.04861), table 7: the resolution multiplier.

Claimed (section 4.2): accuracy falls smoothly with the resolution of the pictures.

Trained there: as table 4, on pictures of 224, 192, 160 and 128 pixels; all have the same 4.2 million parameters.

Readings: on a laptop a quarter of these sides, with a first convolution without stride, so that costs are nearly in the
published proportions. Pictures are drawn at the largest
side and reduced for the others.
"""

from separable.experiments.scales import MOBILENETS, MOBILENETS_READING, TUNED_PAPER_COST, cost_of
from separable.experiments.schema import Arm, Claim, Experiment

__all__ = ["EXPERIMENT"]

EXPERIMENT = Experiment(
    name="mobilenet/table7",
    title="The resolution multiplier",
    source="arXiv:1704.04861, table 7 and section 4.2",
    says="Accuracy falls smoothly with the resolution.",
    arms=(
        Arm(
            "224 pixels",
            "mobilenet_v1",
            published={"top1": 0.706, "macs": 569e6, "parameters": 4.2e6},
            image_size=224,
        ),
        Arm(
            "192 pixels",
            "mobilenet_v1",
            published={"top1": 0.691, "macs": 418e6, "parameters": 4.2e6},
            image_size=192,
        ),
        Arm(
            "160 pixels",
            "mobilenet_v1",
            published={"top1": 0.672, "macs": 290e6, "parameters": 4.2e6},
            image_size=160,
        ),
        Arm(
            "128 pixels",
            "mobilenet_v1",
            published={"top1": 0.644, "macs": 186e6, "parameters": 4.2e6},
            image_size=128,
        ),
    ),
    measures=("top1", "macs", "parameters", "loss", "milliseconds"),
    claims=(
        Claim("224 pixels are better than 192", "top1", "224 pixels", "above", "192 pixels"),
        Claim("192 pixels are better than 160", "top1", "192 pixels", "above", "160 pixels"),
        Claim("160 pixels are better than 128", "top1", "160 pixels", "above", "128 pixels"),
    ),
    setups=MOBILENETS,
    reading="On a laptop the sides are a quarter of these, 56, 48, 40 and 32 pixels, and the first convolution has no "
    f"stride. {MOBILENETS_READING}",
    costs=cost_of("about 8 minutes of 2 cores", paper=TUNED_PAPER_COST),
)
