"""F. Chollet, "Xception" (arXiv:1610.02357), section 1.2: which of the two convolutions comes first.

Claimed, without an experiment: that an Inception module begins with the 1x1 convolution and a separable convolution
with the spatial one "is unimportant, in particular because these operations are meant to be used in a stacked setting".

Readings: both orders in the network of figure 5, nothing between the two steps. In a layer that widens, the 3x3 then
works on more channels: 22,873,808 parameters in place of 22,855,952. Two accuracies are the same if they differ by less
than 1 %, a margin of ours.
"""

from separable.experiments.scales import cost_of, setups
from separable.experiments.schema import Arm, Claim, Experiment

__all__ = ["EXPERIMENT"]

EXPERIMENT = Experiment(
    name="xception/order",
    title="The spatial or the pointwise convolution first",
    source="arXiv:1610.02357, section 1.2",
    says="The order of the two convolutions is unimportant, in particular in a stack of them.",
    arms=(
        Arm("spatial first", "xception", note="depthwise, then 1x1: a separable convolution"),
        Arm(
            "pointwise first",
            "xception",
            {"order": "pointwise_first"},
            note="as in an extreme Inception module",
            published_network=False,
        ),
    ),
    measures=("top1", "early_top1", "loss", "top5", "parameters", "macs"),
    claims=(Claim("The order makes no difference", "top1", "pointwise first", "same", "spatial first", margin=0.01),),
    setups=setups(),
    reading="The paper argues and shows no experiment: there are no published numbers. The same is within 1 % of "
    "accuracy, our margin.",
    costs=cost_of("about 2 minutes of 2 cores"),
)
