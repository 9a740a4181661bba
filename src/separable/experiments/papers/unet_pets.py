"""F. Chollet, "Image segmentation with a U-Net-like architecture" (keras.io/examples/vision/
oxford_pets_image_segmentation), with the network whose halves are Xception's modules.

Claimed: nothing is compared. The page's summary prints 2,055,203 trainable parameters (2,058,979 with the running
statistics), its log a best validation loss of 0.7986, at epoch 27 of 50, and 1.2182 at the last.

Trained there: Oxford-IIIT Pets, 1,000 pictures of 160x160 to train on and 1,000 held out, Adam at 1e-4, batch 32, the
weights of the lowest validation loss.

Readings: a second row, ours, concatenates the maps of the first half as U-Net (arXiv:1505.04597) does, which the
example does not. The pictures of small scales are scanned digits on photographs with a mask each, of six classes.
"""

from separable.experiments.scales import MASKS, cost_of
from separable.experiments.schema import Arm, Claim, Experiment

__all__ = ["EXPERIMENT"]

EXPERIMENT = Experiment(
    name="unet/pets",
    title="The U-Net-like network of Keras' segmentation example",
    source="keras.io/examples/vision/oxford_pets_image_segmentation",
    says="A U-Net-like network of Xception's modules learns to segment pets from 1,000 pictures.",
    task="segment",
    arms=(
        Arm("the example's", "unet_xception", published={"loss": 0.7986, "parameters": 2_055_203}),
        Arm(
            "with U-Net's skips",
            "unet_xception",
            {"skips": True},
            note="ours, for comparison",
            published_network=False,
        ),
    ),
    measures=("miou", "pixel_accuracy", "loss", "parameters", "macs"),
    claims=(Claim("Concatenated maps help (ours)", "miou", "with U-Net's skips", "above", "the example's"),),
    setups=MASKS,
    reading="The example compares nothing: the second row and the claim are ours. Published is the best validation "
    "loss of the page's log, of pets; small scales segment digits. At paper scale the weights of the lowest held-out "
    "loss are kept and measured on the same pictures, as the example does: its figures are of the best of 50 epochs.",
    costs=cost_of("about 2 minutes of 2 cores", paper="estimated: 10 minutes of one H200"),
)
