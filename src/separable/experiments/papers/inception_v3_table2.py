"""C. Szegedy et al., "Rethinking the Inception Architecture" (arXiv:1512.00567), table 2: resolution at equal cost.

Claimed (section 9): three networks of nearly the same cost, which differ in the strides at their beginning, on pictures
of 299, 151 and 79 pixels. Though the lower resolutions take longer to train, the quality of the result is close: the
size of the receptive field matters less than the cost of the network.

Trained there: ImageNet, all three until they had converged; the 299 pixels are stride 2 and a max pool behind the first
layer, 151 stride 1 and the pool, 79 stride 1 and none.

Published: 76.6, 76.4 and 75.2 % top-1, one crop.

Readings: on a laptop the sides are 107, 55 and 37, at which the three networks cost the same but for 7 % less of the
last, 8 % as published. Pictures are drawn at the largest
side and reduced for the others. What is close is within 2 %, our margin.
"""

from dataclasses import replace

from separable.experiments.scales import GPU, LAPTOP, PAPER_INCEPTION, PAPER_INCEPTION_READING, SMOKE, cost_of, setups
from separable.experiments.schema import Arm, Claim, Experiment

__all__ = ["EXPERIMENT"]

_SIDES = {299: 107, 151: 55, 79: 37}

EXPERIMENT = Experiment(
    name="inception_v3/table2",
    title="Resolution at equal cost",
    source="arXiv:1512.00567, table 2 and section 9",
    says="At equal cost, networks for pictures of 151 and 79 pixels come close to one for 299.",
    arms=(
        Arm("299 pixels", "inception_v3", published={"top1": 0.766}, image_size=299),
        Arm("151 pixels", "inception_v3", {"stem": "151"}, published={"top1": 0.764}, image_size=151),
        Arm("79 pixels", "inception_v3", {"stem": "79"}, published={"top1": 0.752}, image_size=79),
    ),
    measures=("top1", "loss", "macs", "parameters", "top5"),
    claims=(
        Claim("151 pixels come close to 299", "top1", "151 pixels", "same", "299 pixels", margin=0.02),
        Claim("79 pixels come close to 299", "top1", "79 pixels", "same", "299 pixels", margin=0.02),
        Claim("79 pixels remain behind", "top1", "79 pixels", "below", "299 pixels"),
    ),
    setups=setups(
        smoke=replace(
            SMOKE, image_size=None, image_sizes={299: 76, 151: 40, 79: 32}, options={"inception_v3": {"width": 0.0625}}
        ),
        laptop=replace(LAPTOP, image_size=None, image_sizes=_SIDES, options={"inception_v3": {"width": 0.125}}),
        gpu=replace(
            GPU,
            image_size=None,
            image_sizes={299: 299, 151: 151, 79: 79},
            options={"inception_v3": {"width": 0.5}},
        ),
        paper=replace(PAPER_INCEPTION, image_size=None, image_sizes={299: 299, 151: 151, 79: 79}),
    ),
    reading="On a laptop the sides are 107, 55 and 37 pixels. The same is within 2 %, our margin. "
    f"{PAPER_INCEPTION_READING}",
    costs=cost_of("about 6 minutes of 2 cores"),
)
