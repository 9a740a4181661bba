"""C. Szegedy et al., "Rethinking the Inception Architecture" (arXiv:1512.00567), section 5: halving the grid.

Claimed: pooling before the channels are widened is cheap, but a representational bottleneck; widening first avoids it
at about three times the cost (figure 9); both in parallel, a strided convolution and a pool (figure 10), is cheap and
avoids it. No accuracies are printed.

Readings: in place of the published modules with two branches of convolutions, one 3x3 convolution and one max pool in
each of the three arrangements, ending in as many channels. That the bottleneck costs accuracy is what the word means.
"""

from separable.experiments.scales import PAPER_INCEPTION, PAPER_INCEPTION_READING, cost_of, setups
from separable.experiments.schema import Arm, Claim, Experiment

__all__ = ["EXPERIMENT"]

EXPERIMENT = Experiment(
    name="inception_v3/grid_reduction",
    title="Pool then convolve, convolve then pool, or both in parallel",
    source="arXiv:1512.00567, section 5, figures 9 and 10",
    says="Pooling first is a representational bottleneck, convolving first is costly; both in parallel is cheap and no "
    "bottleneck.",
    arms=(
        Arm("pool, then convolve", "inception_v3", {"grid_reduction": "pool_first"}, published_network=False),
        Arm("convolve, then pool", "inception_v3", {"grid_reduction": "convolve_first"}, published_network=False),
        Arm("in parallel", "inception_v3", {"grid_reduction": "parallel"}, published_network=False),
    ),
    measures=("top1", "macs", "parameters", "loss", "top5"),
    claims=(
        Claim("Pooling first costs accuracy", "top1", "in parallel", "above", "pool, then convolve"),
        Claim("Convolving first costs more operations", "macs", "in parallel", "below", "convolve, then pool"),
        Claim("Both in parallel costs no accuracy", "top1", "in parallel", "same", "convolve, then pool", margin=0.01),
    ),
    setups=setups(paper=PAPER_INCEPTION),
    reading="One 3x3 convolution and one max pool in place of the published reductions, arranged in the three ways. "
    f"The paper prints no accuracies. The same is within 1 %, our margin. {PAPER_INCEPTION_READING}",
    costs=cost_of("about 4 minutes of 2 cores"),
)
