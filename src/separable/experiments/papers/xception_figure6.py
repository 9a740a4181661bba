"""F. Chollet, "Xception" (arXiv:1610.02357), figure 6: accuracy on ImageNet while training.

Claimed: the curve of Xception lies above that of Inception V3, at the same number of gradient steps. The curves are in
the picture alone, no value of them is printed; their ends are those of table 1 without averaging over crops.

Trained there: as table 1. Here the very trainings of `xception/table1`, with the same learning rates tried for both.
"""

from separable.experiments.scales import ACROSS, TUNED_PAPER_COST, cost_of
from separable.experiments.schema import Arm, Claim, Experiment

__all__ = ["EXPERIMENT"]

EXPERIMENT = Experiment(
    name="xception/figure6",
    title="Training curves of Inception V3 and Xception on ImageNet",
    source="arXiv:1610.02357, figure 6",
    says="All through the training, Xception is ahead of Inception V3 on ImageNet.",
    kind="curves",
    arms=(Arm("Inception V3", "inception_v3"), Arm("Xception", "xception")),
    measures=("top1", "early_top1", "top5", "loss"),
    claims=(
        Claim("Xception ends above Inception V3", "top1", "Xception", "above", "Inception V3"),
        Claim("Xception is ahead after a quarter of the training", "early_top1", "Xception", "above", "Inception V3"),
    ),
    setups=ACROSS,
    reading="The curves are in the picture alone: there are no published numbers to set beside these. Early is what "
    "the curves show over most of their length, read here as after a quarter of the epochs. The same learning rates "
    "are tried for both at every scale but smoke. The comparison is that of table 1.",
    costs=cost_of("about 6 minutes of 2 cores", paper=TUNED_PAPER_COST),
)
