"""C. Szegedy et al., "Rethinking the Inception Architecture" (arXiv:1512.00567), section 4: what auxiliary heads do.

Claimed: auxiliary classifiers did not improve convergence early in the training: with and without them the curves are
nearly the same until both are highly accurate; near the end the network with them overtakes and reaches a slightly
higher plateau. They act as regularisers: the main classifier is better if the side branch is batch-normalised. The
step from a plain to a batch-normalised auxiliary head is the last of table 3: 21.6 to 21.2 % top-1 error.

Trained there: ImageNet, the recipe of section 8. No figures of the network without the head are printed.

Readings: early is after a quarter of the epochs, the same is within 2 % of accuracy then, both ours. A plain head has a
bias in place of batch normalisation in its fully connected layer alone, as table 3 has it.
"""

from separable.experiments.scales import PAPER_INCEPTION, PAPER_INCEPTION_READING, cost_of, setups
from separable.experiments.schema import Arm, Claim, Experiment

__all__ = ["EXPERIMENT"]

EXPERIMENT = Experiment(
    name="inception_v3/aux",
    title="Without an auxiliary head, with a plain and with a batch-normalised one",
    source="arXiv:1512.00567, section 4 and table 3",
    says="Auxiliary heads do not help early: they regularise. Near the end the network with one is slightly better, "
    "and better still if it is batch-normalised.",
    arms=(
        Arm("no auxiliary head", "inception_v3"),
        Arm(
            "plain",
            "inception_v3",
            {"aux_head": True, "aux_batch_norm": False},
            published={"top1_error": 0.216, "top5_error": 0.058},
        ),
        Arm(
            "batch-normalised",
            "inception_v3",
            {"aux_head": True},
            published={"top1_error": 0.212, "top5_error": 0.056},
        ),
    ),
    measures=("top1_error", "top5_error", "early_top1", "loss"),
    claims=(
        Claim(
            "Early, an auxiliary head makes no difference",
            "early_top1",
            "batch-normalised",
            "same",
            "no auxiliary head",
            margin=0.02,
        ),
        Claim(
            "In the end the network with one is better", "top1_error", "batch-normalised", "below", "no auxiliary head"
        ),
        Claim("Batch normalisation in the head makes it better", "top1_error", "batch-normalised", "below", "plain"),
    ),
    setups=setups(paper=PAPER_INCEPTION),
    reading="Early is after a quarter of the epochs, and the same within 2 % of accuracy then: both are ours. The "
    f"network without a head has no published figures. {PAPER_INCEPTION_READING}",
    costs=cost_of("about 4 minutes of 2 cores"),
)
