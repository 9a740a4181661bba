"""C. Szegedy et al., "Rethinking the Inception Architecture" (arXiv:1512.00567), figure 2: inside a factorised 5x5.

Claimed (section 3.1): with a 5x5 convolution replaced by two 3x3, rectified linear units in both are better than linear
activation in the first: after 3.86 million operations 77.2 % against 76.2 % top-1. "Linear activation was always
inferior", most of all if the output is batch-normalised.

Trained there: two Inception modules' worth of factorisation on ImageNet; the recipe of section 8.

Readings: the two 3x3 on the 35x35 grid and in the reduction behind it; batch normalisation stays where the activation
goes. The figure's experiment also made the reducing 1x1 linear, here it is not.
"""

from separable.experiments.scales import PAPER_INCEPTION, PAPER_INCEPTION_READING, cost_of, setups
from separable.experiments.schema import Arm, Claim, Experiment

__all__ = ["EXPERIMENT"]

EXPERIMENT = Experiment(
    name="inception_v3/figure2",
    title="Linear or ReLU inside a factorised 5x5 convolution",
    source="arXiv:1512.00567, figure 2 and section 3.1",
    says="Rectified linear units between the two 3x3 convolutions are better than none: linear was always inferior.",
    kind="curves",
    arms=(
        Arm("ReLU", "inception_v3", published={"top1": 0.772}),
        Arm("linear", "inception_v3", {"linear_inside": True}, published={"top1": 0.762}, published_network=False),
    ),
    measures=("top1", "early_top1", "loss", "top5"),
    claims=(Claim("ReLU inside is better than linear", "top1", "ReLU", "above", "linear"),),
    setups=setups(paper=PAPER_INCEPTION),
    reading="Linear between the two 3x3 convolutions that stand for a 5x5; batch normalisation stays. "
    f"{PAPER_INCEPTION_READING}",
    costs=cost_of("about 3 minutes of 2 cores"),
)
