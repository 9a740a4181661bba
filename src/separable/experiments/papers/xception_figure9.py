"""F. Chollet, "Xception" (arXiv:1610.02357), figure 9: with and without residual connections.

Claimed (section 4.6): residual connections are clearly essential in helping with convergence, both in speed and in
final accuracy, on ImageNet. The paper adds that this may be uncharitable: the network without them was trained with the
settings of the one with them; and that they are not needed for deep stacks of separable convolutions as such.

Trained there: as table 1. The curves are in the picture alone, without printed numbers.

Readings: four learning rates are tried for both, equally and at every scale but smoke, which the paper did not do. The
network without has 21,878,880 parameters, as the projections of the shortcuts go with them.
"""

from separable.experiments.scales import TUNED_PAPER_COST, cost_of, setups, tuned
from separable.experiments.schema import Arm, Claim, Experiment

__all__ = ["EXPERIMENT"]

EXPERIMENT = Experiment(
    name="xception/figure9",
    title="Xception with and without residual connections",
    source="arXiv:1610.02357, figure 9 and section 4.6",
    says="Residual connections are clearly essential, for the speed of convergence and for the final accuracy.",
    kind="curves",
    arms=(
        Arm("with residual connections", "xception"),
        Arm("without", "xception", {"residual": False}),
    ),
    measures=("top1", "early_top1", "loss", "top5", "parameters", "macs"),
    claims=(
        Claim("The final accuracy is higher with them", "top1", "with residual connections", "above", "without"),
        Claim("So is the early accuracy", "early_top1", "with residual connections", "above", "without"),
    ),
    setups=tuned(setups()),
    reading="The learning rate is tuned for both networks alike, where the paper used one that suited the residual "
    "network. The curves are in the picture alone: there are no published numbers. Early is after a quarter.",
    costs=cost_of("about 5 minutes of 2 cores", paper=TUNED_PAPER_COST),
)
