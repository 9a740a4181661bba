"""C. Szegedy et al., "Rethinking the Inception Architecture" (arXiv:1512.00567), tables 4 and 5: crops and ensembles.

Claimed (section 10): of one Inception V3 the error falls from 21.2 % (5.6 % top-5) on one crop to 19.47 % (4.48 %) on
12 and 18.77 % (4.2 %) on 144; four networks on 144 crops each reach 3.58 % top-5, 17.3 % top-1 as the abstract has it.

Measured there: ImageNet's 48,238 validation pictures that are not blacklisted; the last row's top-5 error on all 50,000
is 3.46 %.

Readings: nothing but the baseline is trained; its networks are measured in other ways. The ensemble is of as many
networks as there are seeds.
"""

from dataclasses import replace

from separable.experiments.scales import PAPER_INCEPTION, cost_of, setups
from separable.experiments.schema import Arm, Claim, Experiment

__all__ = ["EXPERIMENT"]

EXPERIMENT = Experiment(
    name="inception_v3/tables4-5",
    title="One, 12 and 144 crops a picture, and an ensemble",
    source="arXiv:1512.00567, tables 3 to 5, section 10 and abstract",
    says="More crops of a picture lower the error, and so do more networks.",
    arms=(
        Arm("one crop", "inception_v3", published={"top1_error": 0.212, "top5_error": 0.056}),
        Arm(
            "12 crops",
            "inception_v3",
            published={"top1_error": 0.1947, "top5_error": 0.0448},
            like="one crop",
            crops=12,
        ),
        Arm(
            "144 crops",
            "inception_v3",
            published={"top1_error": 0.1877, "top5_error": 0.042},
            like="one crop",
            crops=144,
        ),
        Arm(
            "ensemble, 144 crops",
            "inception_v3",
            published={"top1_error": 0.173, "top5_error": 0.0358},
            like="one crop",
            crops=144,
            ensemble=True,
            note="four networks there, as many as seeds here",
        ),
    ),
    measures=("top1_error", "top5_error"),
    claims=(
        Claim("12 crops are better than one", "top1_error", "12 crops", "below", "one crop"),
        Claim("144 crops are better than 12", "top1_error", "144 crops", "below", "12 crops"),
        Claim("An ensemble is better than one network", "top1_error", "ensemble, 144 crops", "below", "144 crops"),
    ),
    setups=setups(paper=replace(PAPER_INCEPTION, seeds=(0, 1, 2, 3))),
    reading="The networks are those of the baseline, measured in other ways: no seed differs between the rows. Crops "
    "cut parts off what a small picture shows, and a digit may be on the part.",
    costs=cost_of("about 10 minutes of 2 cores"),
)
