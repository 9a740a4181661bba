"""F. Chollet, "Xception" (arXiv:1610.02357), table 2: many labels a picture, with and without fully connected layers.

Claimed (section 4.5.1): on JFT, measured on FastEval14k, Xception gains more over Inception V3 than on ImageNet: 4.3 %
relative with two fully connected layers of 4,096 units before the logistic regression (6.78 / 6.50; without them
5.3 %, 6.70 / 6.36).

Trained there: 60 K80 GPUs, asynchronously, over a month a network (three would be needed to converge); the table is
after 30 million updates. RMSProp, momentum 0.9, rate 0.001, x0.9 every 3,000,000 samples, L2 as for ImageNet, no
dropout, averaged weights.

Readings: JFT (350 million pictures, 17,000 classes) and FastEval14k (14,000 pictures, about 6,000 classes, 36.5 labels
each) are Google's own and cannot be had; Open Images (CC BY 4.0) is what comes nearest. The metric weights classes by
how common they are "among social media images", by weights that were not published: here by how common they are in the
training pictures, see `analysis.average_precision`. The printed figures are taken as per cent.
"""

from separable.experiments.scales import TAGS, cost_of
from separable.experiments.schema import Arm, Claim, Experiment

__all__ = ["ARMS", "EXPERIMENT", "JFT_COST", "JFT_READING"]

_LAYERS = {"fc_layers": (4096, 4096)}

ARMS = (
    Arm("Inception V3", "inception_v3", published={"weighted_map100": 0.0636}),
    Arm("Xception", "xception", published={"weighted_map100": 0.0670}),
    Arm("Inception V3, FC layers", "inception_v3", _LAYERS, published={"weighted_map100": 0.0650}),
    Arm("Xception, FC layers", "xception", _LAYERS, published={"weighted_map100": 0.0678}),
)

JFT_READING = (
    "JFT and FastEval14k are Google's own: bring a manifest of pictures and labels, such as Open Images. The weights "
    "of the classes were not published; here they are the classes' frequencies among the training pictures. The same "
    "learning rates are tried for all rows at every scale but smoke. On a laptop Inception V3 costs 2.2 times the "
    "multiply-adds of Xception, where it costs 0.68 as published: with more strides it finds no small "
    "digits in that time."
)
JFT_COST = cost_of(
    "about 14 minutes of 2 cores",
    paper="JFT is private; Open Images, 9 million pictures, estimated: 10 days of one H200 a training, and 7 trainings "
    "a row, 4 of these to try learning rates",
)

EXPERIMENT = Experiment(
    name="xception/table2",
    title="Many labels a picture, with and without fully connected layers",
    source="arXiv:1610.02357, table 2 and section 4.5.1",
    says="On JFT Xception is better than Inception V3 by 4.3 % of its MAP@100 with fully connected layers, and by more "
    "without.",
    task="tag",
    arms=ARMS,
    measures=("weighted_map100", "map100", "loss", "parameters", "macs"),
    claims=(
        Claim(
            "With fully connected layers Xception is better than Inception V3",
            "weighted_map100",
            "Xception, FC layers",
            "above",
            "Inception V3, FC layers",
        ),
        Claim("Without them too", "weighted_map100", "Xception", "above", "Inception V3"),
    ),
    setups=TAGS,
    reading=JFT_READING,
    costs=JFT_COST,
)
