"""F. Chollet, "Xception" (arXiv:1610.02357), figure 10: a nonlinearity between the depthwise and the pointwise step.

Claimed (section 4.7): the absence of any leads to both faster convergence and better final performance; the opposite of
what Szegedy et al. report for Inception modules (1512.00567, figure 2), perhaps because the intermediate features are
deep there and one channel deep here.

Trained there: ImageNet as table 1, with ReLU, ELU or nothing between the two. The curves are in the picture alone,
without printed numbers. The title of the section says "after pointwise convolutions"; caption and text mean the place
between the two.
"""

from separable.experiments.scales import cost_of, setups
from separable.experiments.schema import Arm, Claim, Experiment

__all__ = ["EXPERIMENT"]

EXPERIMENT = Experiment(
    name="xception/figure10",
    title="Nothing, ReLU or ELU between depthwise and pointwise convolution",
    source="arXiv:1610.02357, figure 10 and section 4.7",
    says="The absence of any nonlinearity leads to both faster convergence and better final performance.",
    kind="curves",
    arms=(
        Arm("nothing", "xception"),
        Arm("ReLU", "xception", {"intermediate_activation": "relu"}),
        Arm("ELU", "xception", {"intermediate_activation": "elu"}),
    ),
    measures=("top1", "early_top1", "loss", "top5"),
    claims=(
        Claim("Nothing ends above ReLU", "top1", "nothing", "above", "ReLU"),
        Claim("Nothing ends above ELU", "top1", "nothing", "above", "ELU"),
        Claim("Nothing converges faster than ReLU", "early_top1", "nothing", "above", "ReLU"),
        Claim("Nothing converges faster than ELU", "early_top1", "nothing", "above", "ELU"),
    ),
    setups=setups(),
    reading="The curves are in the picture alone: there are no published numbers. Faster convergence is read as a "
    "higher accuracy after a quarter of the epochs.",
    costs=cost_of("about 2 minutes of 2 cores"),
)
