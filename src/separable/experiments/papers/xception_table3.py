"""F. Chollet, "Xception" (arXiv:1610.02357), table 3: parameters and training speed.

Claimed (section 4.5.2): both networks have about the same number of parameters ("within 3.5 %"), and Xception is
marginally slower.

Measured there: gradient steps a second, ImageNet, 60 K80 GPUs synchronously, without fully connected layers.

Readings: Xception's 22,855,952 are its trainable parameters. Inception V3's 23,626,728 are, to the digit, those of
Chollet's first Keras file, which has biases and two slips of the pen (`variant="chollet_2016"`); the network as
TF-slim has it has 23,817,352. That the table used that file is inferred from the eight digits. 28 steps a second of 60
GPUs together at 32 pictures each would be 900 pictures a second a GPU, so these are steps of one replica; here they are
steps of one machine, of the setup's batch.
"""

from dataclasses import replace

from separable.experiments.scales import GPU, LAPTOP, PAPER, SMOKE, cost_of, setups
from separable.experiments.schema import Arm, Claim, Experiment

__all__ = ["EXPERIMENT"]

_FIRST = {"variant": "chollet_2016"}

EXPERIMENT = Experiment(
    name="xception/table3",
    title="Parameters and training speed",
    source="arXiv:1610.02357, table 3 and section 4.5.2",
    says="Xception has as many parameters as Inception V3, within 3.5 %, and trains marginally slower.",
    kind="count",
    arms=(
        Arm(
            "Inception V3",
            "inception_v3",
            _FIRST,
            published={"parameters": 23_626_728, "steps_per_second": 31.0},
            note="Chollet's first Keras file",
        ),
        Arm("Xception", "xception", published={"parameters": 22_855_952, "steps_per_second": 28.0}),
    ),
    measures=("steps_per_second", "parameters", "macs", "milliseconds", "memory"),
    claims=(
        Claim("Xception trains slower", "steps_per_second", "Xception", "below", "Inception V3"),
        Claim(
            "Both have as many parameters, within 3.5 %",
            "parameters",
            "Xception",
            "same",
            "Inception V3",
            margin=0.035 * 23_626_728,
        ),
    ),
    setups=setups(
        smoke=SMOKE,
        laptop=replace(LAPTOP, image_size=299, batch_size=8, options={}),
        gpu=replace(GPU, image_size=299, batch_size=128, options={}),
        paper=replace(PAPER, batch_size=128),
    ),
    reading="The published networks themselves, at the published 299 pixels, at every scale but smoke: nothing is "
    "trained, steps are timed. The published steps are those of one of 60 GPUs, as far as their number tells.",
    costs=cost_of("about 3 minutes of 1 core", "estimated: 2 minutes of one H200", "estimated: 2 minutes of one H200"),
)
