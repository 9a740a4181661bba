"""F. Chollet, "Xception" (arXiv:1610.02357), figure 7: MAP@100 on FastEval14k while training on JFT, without fully
connected layers.

Claimed: the curve of Xception lies above that of Inception V3. The curves are in the picture alone; what they end at is
printed in table 2.

Trained there, and readings: as `xception/table2`, whose trainings these are.
"""

from separable.experiments.papers.xception_table2 import ARMS, JFT_COST, JFT_READING
from separable.experiments.scales import TAGS
from separable.experiments.schema import Claim, Experiment

__all__ = ["EXPERIMENT"]

EXPERIMENT = Experiment(
    name="xception/figure7",
    title="Training curves with many labels a picture, without fully connected layers",
    source="arXiv:1610.02357, figure 7",
    says="Without fully connected layers, Xception is ahead of Inception V3 on JFT.",
    kind="curves",
    task="tag",
    arms=ARMS[:2],
    measures=("weighted_map100", "map100", "loss"),
    claims=(Claim("Xception ends above Inception V3", "weighted_map100", "Xception", "above", "Inception V3"),),
    setups=TAGS,
    reading="The curves are in the picture alone; the figures beside these are their ends, of table 2: "
    f"the trainings and the claim are those of table 2, not further evidence. {JFT_READING}",
    costs=JFT_COST,
)
